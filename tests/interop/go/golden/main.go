// Golden records what Go's asynq writes, as test data for the codecs in Python.
//
// It lets the real client, server and scheduler write into an empty Redis, reads the bytes back and
// puts beside them what the real inspector makes of them:
//
//	golden 127.0.0.1:6379 > ../golden.json
//
// It takes some 12 seconds, for the heartbeats. The Redis is flushed.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

type object = map[string]any

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// instant is exact; seconds before 1970 and Go's zero time, too.
func instant(t time.Time) object {
	return object{"seconds": t.Unix(), "nanos": t.Nanosecond()}
}

func task(info *asynq.TaskInfo) object {
	return object{
		"id": info.ID, "queue": info.Queue, "type": info.Type, "payload": hex.EncodeToString(info.Payload),
		"headers": info.Headers, "max_retry": info.MaxRetry, "retried": info.Retried, "error": info.LastErr,
		"failed_at": instant(info.LastFailedAt), "timeout": info.Timeout.Seconds(),
		"deadline": instant(info.Deadline), "group": info.Group, "retention": info.Retention.Seconds(),
		"completed_at": instant(info.CompletedAt),
	}
}

type recorder struct {
	ctx       context.Context
	redis     *redis.Client
	client    *asynq.Client
	inspector *asynq.Inspector
	tasks     []object
}

// hash records the message of a task as it is now, and what the inspector makes of it.
func (r *recorder) hash(name, queue, id string) {
	key := "asynq:{" + queue + "}:t:" + id
	fields := must(r.redis.HGetAll(r.ctx, key).Result())
	info := must(r.inspector.GetTaskInfo(queue, id))
	r.tasks = append(r.tasks, object{
		"name": name, "msg": hex.EncodeToString([]byte(fields["msg"])), "unique_key": fields["unique_key"],
		"state": fields["state"], "expected": task(info),
	})
}

func (r *recorder) enqueue(name string, t *asynq.Task, options ...asynq.Option) {
	info := must(r.client.Enqueue(t, options...))
	r.hash(name, info.Queue, info.ID)
}

func (r *recorder) enqueueAll() {
	plain := func() *asynq.Task { return asynq.NewTask("email:send", []byte(`{"id":1}`)) }
	r.enqueue("plain", plain(), asynq.TaskID("11111111-2222-3333-4444-555555555555"))
	r.enqueue("no payload", asynq.NewTask("t", nil))
	r.enqueue("empty payload, unique", asynq.NewTask("t", []byte{}), asynq.Unique(time.Hour))
	r.enqueue("no payload, unique", asynq.NewTask("u", nil), asynq.Unique(time.Hour))
	r.enqueue("unique", plain(), asynq.Unique(time.Hour), asynq.Queue("a:unique:b"))
	r.enqueue("binary payload", asynq.NewTask("t", []byte{0, 0xff, '"', '\n'}))
	r.enqueue("long payload", asynq.NewTask("t", []byte(strings.Repeat("x", 300))))
	r.enqueue("no retry", plain(), asynq.MaxRetry(0))
	r.enqueue("most retries", plain(), asynq.MaxRetry(1<<31-1))
	r.enqueue("retries beyond 32 bits", plain(), asynq.MaxRetry(1<<31+5))
	r.enqueue("timeout", plain(), asynq.Timeout(90*time.Second))
	r.enqueue("timeout of half a second", plain(), asynq.Timeout(500*time.Millisecond))
	r.enqueue("negative timeout", plain(), asynq.Timeout(-5*time.Second))
	r.enqueue("longest timeout", plain(), asynq.Timeout(1<<63-1))
	r.enqueue("timeout of zero", plain(), asynq.Timeout(0))
	r.enqueue("deadline", plain(), asynq.Deadline(time.Unix(2_000_000_000, 0)))
	r.enqueue("deadline with a fraction", plain(), asynq.Deadline(time.Unix(2_000_000_000, 500_000_000)))
	r.enqueue("deadline and timeout", plain(), asynq.Deadline(time.Unix(2_000_000_000, 0)), asynq.Timeout(time.Minute))
	r.enqueue("deadline before 1970", plain(), asynq.Deadline(time.Unix(-100, 0)))
	r.enqueue("deadline after 9999", plain(), asynq.Deadline(time.Unix(1<<62, 0)))
	r.enqueue("retention", plain(), asynq.Retention(24*time.Hour))
	r.enqueue("negative retention", plain(), asynq.Retention(-time.Hour))
	r.enqueue("group", plain(), asynq.Group("grüße ☃"), asynq.Queue("low"))
	r.enqueue("scheduled", plain(), asynq.ProcessIn(time.Hour))
	r.enqueue("one header", asynq.NewTaskWithHeaders("t", nil, map[string]string{"trace": "äöü 😀"}))
	r.enqueue("empty header", asynq.NewTaskWithHeaders("t", nil, map[string]string{"": ""}))
	many := map[string]string{}
	for i := range 12 {
		many["name-"+strconv.Itoa(i)] = strings.Repeat("v", i*5)
	}
	r.enqueue("many headers", asynq.NewTaskWithHeaders("t", []byte("p"), many))
	r.enqueue("everything", asynq.NewTaskWithHeaders("ä:b", []byte("[]"), map[string]string{"k": "v"}),
		asynq.Queue("q}x"), asynq.TaskID("a b"), asynq.MaxRetry(7), asynq.Timeout(61*time.Second),
		asynq.Deadline(time.Unix(2_100_000_000, 0)), asynq.Unique(time.Minute), asynq.Retention(time.Second),
		asynq.Group("g"))
}

// work lets a server fail, complete and hold tasks, and records them and the server's own records.
func (r *recorder) work() (server object, workers []object) {
	held, release := make(chan struct{}), make(chan struct{})
	mux := asynq.NewServeMux()
	mux.HandleFunc("fail", func(context.Context, *asynq.Task) error { return errors.New("no ☃\nat all") })
	mux.HandleFunc("skip", func(context.Context, *asynq.Task) error { return asynq.SkipRetry })
	mux.HandleFunc("good", func(context.Context, *asynq.Task) error { return nil })
	mux.HandleFunc("hold", func(context.Context, *asynq.Task) error { close(held); <-release; return nil })
	for _, name := range []string{"fail", "skip", "good", "hold"} {
		must(r.client.Enqueue(asynq.NewTask(name, []byte("p")), asynq.TaskID(name), asynq.Queue("work"),
			asynq.Retention(time.Hour)))
	}
	s := asynq.NewServer(asynq.RedisClientOpt{Addr: os.Args[1]}, asynq.Config{
		Concurrency: 4, Queues: map[string]int{"work": 6, "other": 1}, StrictPriority: true, LogLevel: asynq.FatalLevel,
	})
	if err := s.Start(mux); err != nil {
		log.Fatal(err)
	}
	<-held
	time.Sleep(6 * time.Second) // the next heartbeat has the worker
	for name, title := range map[string]string{"fail": "failed once", "skip": "archived", "good": "completed", "hold": "active"} {
		r.hash(title, "work", name)
	}
	info := must(r.inspector.Servers())[0]
	raw := must(r.redis.Get(r.ctx, must(r.redis.Keys(r.ctx, "asynq:servers:*").Result())[0]).Result())
	server = object{"raw": hex.EncodeToString([]byte(raw)), "expected": object{
		"host": info.Host, "pid": info.PID, "server_id": info.ID, "concurrency": info.Concurrency,
		"queues": info.Queues, "is_strict": info.StrictPriority, "status": info.Status,
		"started": instant(info.Started), "active": len(info.ActiveWorkers),
	}}
	held2 := must(r.redis.HGetAll(r.ctx, must(r.redis.Keys(r.ctx, "asynq:workers:*").Result())[0]).Result())
	for _, worker := range info.ActiveWorkers {
		workers = append(workers, object{"raw": hex.EncodeToString([]byte(held2[worker.TaskID])), "expected": object{
			"host": info.Host, "pid": info.PID, "server_id": info.ID, "task_id": worker.TaskID,
			"task_type": worker.TaskType, "payload": hex.EncodeToString(worker.TaskPayload), "queue": worker.Queue,
			"started": instant(worker.Started), "deadline": instant(worker.Deadline),
		}})
	}
	close(release)
	s.Shutdown()
	return server, workers
}

func (r *recorder) schedule() (entries, events []object) {
	scheduler := asynq.NewScheduler(asynq.RedisClientOpt{Addr: os.Args[1]}, &asynq.SchedulerOpts{
		HeartbeatInterval: 2 * time.Second, LogLevel: asynq.FatalLevel,
	})
	must(scheduler.Register("0 4 1 1 *", asynq.NewTask("never", []byte("p"))))
	often := must(scheduler.Register("@every 1s", asynq.NewTask("often", nil), options()...))
	if err := scheduler.Start(); err != nil {
		log.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond)
	raws := must(r.redis.LRange(r.ctx, must(r.redis.Keys(r.ctx, "asynq:schedulers:*").Result())[0], 0, -1).Result())
	for i, entry := range must(r.inspector.SchedulerEntries()) {
		texts := []string{}
		if entry.ID == often {
			for _, option := range options() {
				texts = append(texts, option.String())
			}
		}
		entries = append(entries, object{"raw": hex.EncodeToString([]byte(raws[i])), "expected": object{
			"entry_id": entry.ID, "spec": entry.Spec, "task_type": entry.Task.Type(),
			"payload": hex.EncodeToString(entry.Task.Payload()), "options": texts,
			"next": instant(entry.Next), "prev": instant(entry.Prev),
		}})
	}
	members := must(r.redis.ZRevRange(r.ctx, "asynq:scheduler_history:"+often, 0, -1).Result())
	for i, event := range must(r.inspector.ListSchedulerEnqueueEvents(often)) {
		events = append(events, object{"raw": hex.EncodeToString([]byte(members[i])), "expected": object{
			"task_id": event.TaskID, "enqueued_at": instant(event.EnqueuedAt),
		}})
	}
	scheduler.Shutdown()
	return entries, events
}

// options is every option, with values that are hard to read back.
func options() []asynq.Option {
	zone := time.FixedZone("", 5*3600+1800)
	return []asynq.Option{
		asynq.Queue(`a "b" \ ) ☃` + "\n\x00\u00a0\u2028"), asynq.MaxRetry(3), asynq.TaskID("a (b) c"),
		asynq.Timeout(90 * time.Second), asynq.Deadline(time.Date(2026, 5, 4, 1, 2, 3, 0, time.UTC)),
		asynq.Unique(time.Hour), asynq.ProcessAt(time.Date(2026, 5, 14, 1, 2, 3, 0, zone)),
		asynq.ProcessIn(1500 * time.Millisecond), asynq.Retention(24 * time.Hour), asynq.Group("g)("),
	}
}

func texts() object {
	durations, quoted, dates := []object{}, []object{}, []object{}
	for _, nanos := range []int64{0, 1, 999, 1000, 1500, 999_999, 1_000_000, 300_000_000, 999_999_999, 1_000_000_000,
		1_500_000_000, 59_999_999_999, 60_000_000_000, 90_000_000_000, 3_600_000_000_000, 5_400_000_000_000,
		86_400_000_000_000, 315_360_000_000_000_000, -1_500_000_000, 3_600_000_000_001} {
		durations = append(durations, object{"nanos": nanos, "text": time.Duration(nanos).String()})
	}
	for _, text := range []string{"", "plain", `"\`, "\a\b\f\n\r\t\v'", "\x00\x1f\x7f", "\u0080\u00a0\u00ad", "äß☃😀",
		"\u200b\u2028\ufeff\ufffd", "\U000e0001\U0010ffff", "(a) b", "`"} {
		quoted = append(quoted, object{"value": text, "text": strconv.Quote(text)})
	}
	for _, seconds := range []int64{1, 1_700_000_000, 1_778_720_523, 253_402_300_799, 951_782_400, 1_735_689_599} {
		t := time.Unix(seconds, 0).UTC()
		dates = append(dates, object{"unix": seconds, "text": t.Format(time.UnixDate)})
		t = t.In(time.FixedZone("", -(3*3600 + 1800)))
		dates = append(dates, object{"unix": seconds, "text": t.Format(time.UnixDate)})
	}
	written := []string{}
	for _, option := range options() {
		written = append(written, option.String())
	}
	return object{"durations": durations, "quoted": quoted, "dates": dates, "options": written}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: golden HOST:PORT (of a Redis that is flushed)")
	}
	opt := asynq.RedisClientOpt{Addr: os.Args[1]}
	r := &recorder{
		ctx: context.Background(), redis: redis.NewClient(&redis.Options{Addr: os.Args[1]}),
		client: asynq.NewClient(opt), inspector: asynq.NewInspector(opt),
	}
	must(r.redis.FlushAll(r.ctx).Result())
	r.enqueueAll()
	server, workers := r.work()
	entries, events := r.schedule()
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	out.SetEscapeHTML(false)
	if err := out.Encode(object{
		"asynq": "0.26.0", "tasks": r.tasks, "server": server, "workers": workers,
		"entries": entries, "events": events, "texts": texts(),
	}); err != nil {
		log.Fatal(err)
	}
}
