// The same work as the benchmarks beside this folder, done by the original: Go asynq.
//
//	asynq-bench SOCKET fill COUNT PAYLOAD_BYTES     enqueue COUNT tasks
//	asynq-bench SOCKET drain COUNT CONCURRENCY      run COUNT pending tasks with a handler that does nothing
//	asynq-bench SOCKET one COUNT PAYLOAD_BYTES      enqueue COUNT tasks, one after another
//	asynq-bench SOCKET pace COUNT GAP               enqueue COUNT tasks, GAP ms apart, for somebody else's server
//	asynq-bench SOCKET notice COUNT GAP             the same, for an idle server in this process
//
// Prints one JSON object. The payload of a task that is paced is the time at which it was enqueued, in Unix ns.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
)

const taskType = "bench:noop"

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: asynq-bench SOCKET fill|one|drain|pace|notice COUNT PAYLOAD_BYTES|CONCURRENCY|GAP")
		os.Exit(2)
	}
	redis := asynq.RedisClientOpt{Network: "unix", Addr: os.Args[1]}
	count, number := atoi(os.Args[3]), atoi(os.Args[4])
	answer := map[string]float64{}
	var seconds float64
	switch os.Args[2] {
	case "fill":
		seconds = fill(redis, count, number, 50)
	case "one":
		seconds = fill(redis, count, number, 1)
	case "drain":
		seconds = drain(redis, count, number)
	case "pace":
		pace(redis, count, number)
	case "notice":
		answer["p50_us"], answer["p99_us"] = notice(redis, count, number)
	}
	answer["seconds"], answer["client_cpu"] = seconds, cpu()
	json.NewEncoder(os.Stdout).Encode(answer)
}

func atoi(text string) int {
	number, err := strconv.Atoi(text)
	check(err)
	return number
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// fill enqueues count tasks from as many goroutines as said.
func fill(redis asynq.RedisClientOpt, count, bytes, goroutines int) float64 {
	client := asynq.NewClient(redis)
	defer client.Close()
	payload := make([]byte, bytes)
	for i := range payload {
		payload[i] = 'x'
	}
	var left atomic.Int64
	left.Store(int64(count))
	var group sync.WaitGroup
	started := time.Now()
	for range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			for left.Add(-1) >= 0 {
				_, err := client.Enqueue(asynq.NewTask(taskType, payload))
				check(err)
			}
		}()
	}
	group.Wait()
	return time.Since(started).Seconds()
}

// drain runs a server until count tasks are done; the clock starts with the first handler.
func drain(redis asynq.RedisClientOpt, count, concurrency int) float64 {
	var once sync.Once
	var started time.Time
	var done atomic.Int64
	finished := make(chan float64, 1)
	server := asynq.NewServer(redis, asynq.Config{Concurrency: concurrency, LogLevel: asynq.ErrorLevel})
	mux := asynq.NewServeMux()
	mux.HandleFunc(taskType, func(context.Context, *asynq.Task) error {
		once.Do(func() { started = time.Now() })
		if done.Add(1) == int64(count) {
			finished <- time.Since(started).Seconds()
		}
		return nil
	})
	check(server.Start(mux))
	seconds := <-finished
	server.Shutdown()
	return seconds
}

// pace enqueues tasks one by one; the gaps differ by a half, so as not to beat in time with a poll.
func pace(redis asynq.RedisClientOpt, count, gap int) {
	client := asynq.NewClient(redis)
	defer client.Close()
	for range count {
		time.Sleep(time.Duration(float64(gap)*(0.75+rand.Float64()/2)) * time.Millisecond)
		payload := strconv.FormatInt(time.Now().UnixNano(), 10)
		_, err := client.Enqueue(asynq.NewTask(taskType, []byte(payload)))
		check(err)
	}
}

// notice measures how late an idle server with default settings begins, in µs: the median and 99 of a hundred.
func notice(redis asynq.RedisClientOpt, count, gap int) (float64, float64) {
	late := make(chan float64, count)
	server := asynq.NewServer(redis, asynq.Config{Concurrency: 10, LogLevel: asynq.ErrorLevel})
	check(server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		now := time.Now().UnixNano()
		sent, err := strconv.ParseInt(string(task.Payload()), 10, 64)
		check(err)
		late <- float64(now-sent) / 1e3
		return nil
	})))
	pace(redis, count, gap)
	var seen []float64
	for range count {
		seen = append(seen, <-late)
	}
	server.Shutdown()
	slices.Sort(seen)
	return seen[count/2], seen[count*99/100]
}

func cpu() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
