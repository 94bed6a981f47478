// Go's asynq, driven by lines of JSON: a client, servers, an inspector and schedulers in one process.
//
//	drive ADDRESS-OF-REDIS
//
// A line of standard input is a call: {"id": 1, "do": "enqueue", "with": {...}}. It is answered by one of
// {"id": 1, "result": ...} and {"id": 1, "error": "text", "kind": "duplicate"}, not always in order: calls run
// at once. What servers do is told by lines without an id: {"event": "run", "task": "...", ...}.
// When standard input ends, so does the process, at once: what a caller wants shut down it says.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/hibiken/asynq"

	"asyncq/tests/interop/go/where"
)

type call struct {
	ID   int             `json:"id"`
	Do   string          `json:"do"`
	With json.RawMessage `json:"with"`
}

// driver holds what the calls of this process have made.
type driver struct {
	redis     asynq.RedisConnOpt
	client    *asynq.Client
	inspector *asynq.Inspector

	mutex      sync.Mutex
	servers    map[string]*asynq.Server
	schedulers map[string]*asynq.Scheduler

	output sync.Mutex
	writer *bufio.Writer
}

// verbs are grouped by who answers them, a file each.
var verbs = map[string]func(*driver, json.RawMessage) (any, error){}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: drive ADDRESS-OF-REDIS")
		os.Exit(2)
	}
	redis, err := where.Redis(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	d := &driver{
		redis:      redis,
		client:     asynq.NewClient(redis),
		inspector:  asynq.NewInspector(redis),
		servers:    map[string]*asynq.Server{},
		schedulers: map[string]*asynq.Scheduler{},
		writer:     bufio.NewWriter(os.Stdout),
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var one call
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			fmt.Fprintln(os.Stderr, "a line that is no call:", err)
			os.Exit(2)
		}
		go d.answer(one)
	}
}

func (d *driver) answer(one call) {
	verb, ok := verbs[one.Do]
	if !ok {
		d.write(map[string]any{"id": one.ID, "error": "no such verb: " + one.Do, "kind": "usage"})
		return
	}
	result, err := verb(d, one.With)
	if err != nil {
		d.write(map[string]any{"id": one.ID, "error": err.Error(), "kind": kind(err)})
		return
	}
	d.write(map[string]any{"id": one.ID, "result": result})
}

// write puts out one line, whole and at once.
func (d *driver) write(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	d.output.Lock()
	defer d.output.Unlock()
	d.writer.Write(text)
	d.writer.WriteByte('\n')
	d.writer.Flush()
}

// kind names the errors that callers tell apart.
func kind(err error) string {
	for name, known := range map[string]error{
		"duplicate":       asynq.ErrDuplicateTask,
		"conflict":        asynq.ErrTaskIDConflict,
		"task not found":  asynq.ErrTaskNotFound,
		"queue not found": asynq.ErrQueueNotFound,
		"queue not empty": asynq.ErrQueueNotEmpty,
	} {
		if errors.Is(err, known) {
			return name
		}
	}
	return "other"
}

// read decodes what a call came with; a field that nobody knows is a mistake of the caller.
func read[T any](with json.RawMessage) (T, error) {
	var value T
	if len(with) == 0 {
		return value, nil
	}
	return value, strict(with, &value)
}
