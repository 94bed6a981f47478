package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hibiken/asynq"
)

// notFailure is in the text of errors that count for nothing.
const notFailure = "not a failure"

// script is what a payload tells the handler to do; any other payload is a success.
type script struct {
	// Act is succeed, fail, skip, revoke, panic or block (until the context ends).
	Act string `json:"act"`
	// Times limits fail and panic to the first so many attempts.
	Times *int `json:"times"`
	// Text of the error.
	Text string `json:"text"`
	// Until is the path of a file to wait for, whatever the context says; it comes first. Python has one of its own.
	Until string `json:"go_until"`
	// Result is written before anything else.
	Result *string `json:"result"`
}

// run does what the payload says, and tells of the beginning and the end.
func (d *driver) run(ctx context.Context, t *asynq.Task) error {
	var what script
	if json.Unmarshal(t.Payload(), &what) != nil {
		what = script{}
	}
	id, _ := asynq.GetTaskID(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	maxRetry, _ := asynq.GetMaxRetry(ctx)
	queue, _ := asynq.GetQueueName(ctx)
	begin := map[string]any{
		"event": "run", "task": id, "type": t.Type(), "payload": t.Payload(), "headers": t.Headers(),
		"retried": retried, "max_retry": maxRetry, "queue": queue, "at": unix(time.Now()),
	}
	if deadline, ok := ctx.Deadline(); ok {
		begin["deadline"] = unix(deadline)
	}
	d.write(begin)
	outcome := "panic"
	defer func() { d.write(map[string]any{"event": "end", "task": id, "outcome": outcome}) }()
	err := follow(ctx, t, what, retried)
	outcome = "ok"
	if err != nil {
		outcome = err.Error()
	}
	return err
}

func follow(ctx context.Context, t *asynq.Task, what script, retried int) error {
	if what.Result != nil {
		if _, err := t.ResultWriter().Write([]byte(*what.Result)); err != nil {
			return err
		}
	}
	for what.Until != "" {
		if _, err := os.Stat(what.Until); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	isOver := what.Times != nil && retried >= *what.Times
	switch what.Act {
	case "fail":
		if !isOver {
			return errors.New(what.Text)
		}
	case "panic":
		if !isOver {
			panic(what.Text)
		}
	case "skip":
		return fmt.Errorf("%s: %w", what.Text, asynq.SkipRetry)
	case "revoke":
		return fmt.Errorf("%s: %w", what.Text, asynq.RevokeTask)
	case "block":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}
