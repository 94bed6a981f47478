// go-queue and go-zero, one role a process, driven by lines of JSON.
//
//	go_queue ROLE CONFIG
//
// CONFIG is JSON. A line of standard input is a call: {"id": 1, "do": "delay", "with": {...}}. It is answered by
// one of {"id": 1, "result": ...} and {"id": 1, "error": "text", "kind": "other"}, not always in order: calls run
// at once. What happens unasked is told by lines without an id, the first of which is {"event": "ready"}. When
// standard input ends, so does the process, at once. The program of Python's side speaks the same.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

type call struct {
	ID   int             `json:"id"`
	Do   string          `json:"do"`
	With json.RawMessage `json:"with"`
}

type verb func(with json.RawMessage) (any, error)

// A role starts what it is from its configuration, and returns what can be asked of it.
var roles = map[string]func(config []byte) map[string]verb{
	"dq-produce": dqProduce,
	"dq-consume": dqConsume,
	"kq-push":    kqPush,
	"kq-consume": kqConsume,
	"group":      group,
	"wheel":      wheel,
	"load":       load,
}

var output struct {
	sync.Mutex
	file *os.File
}

func main() {
	if len(os.Args) != 3 || roles[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go_queue ROLE CONFIG")
		os.Exit(2)
	}
	keepOutput()
	verbs := roles[os.Args[1]]([]byte(os.Args[2]))
	tell("ready", nil)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var one call
		must(json.Unmarshal(lines.Bytes(), &one))
		go answer(verbs, one)
	}
	os.Exit(0)
}

// keepOutput takes standard output for our lines alone: go-zero logs there, and is sent to standard error.
func keepOutput() {
	number, err := unix.Dup(unix.Stdout)
	must(err)
	must(unix.Dup2(unix.Stderr, unix.Stdout))
	output.file = os.NewFile(uintptr(number), "output")
}

func answer(verbs map[string]verb, one call) {
	do, ok := verbs[one.Do]
	if !ok {
		write(map[string]any{"id": one.ID, "error": "no such verb: " + one.Do, "kind": "usage"})
		return
	}
	result, err := do(one.With)
	if err != nil {
		write(map[string]any{"id": one.ID, "error": err.Error(), "kind": "other"})
		return
	}
	write(map[string]any{"id": one.ID, "result": result})
}

// tell puts out an event.
func tell(name string, fields map[string]any) {
	line := map[string]any{"event": name}
	for key, value := range fields {
		line[key] = value
	}
	write(line)
}

// write puts out one line, whole and at once.
func write(line any) {
	text, err := json.Marshal(line)
	must(err)
	output.Lock()
	defer output.Unlock()
	_, err = output.file.Write(append(text, '\n'))
	must(err)
}

// read decodes what a call came with; a field that nobody knows is a mistake of the caller.
func read(from json.RawMessage, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(from))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// ended tells that a role is over and leaves as a program does whose main returns.
func ended() {
	tell("ended", nil)
	os.Exit(0)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
