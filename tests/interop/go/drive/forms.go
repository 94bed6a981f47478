package main

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/hibiken/asynq"
)

func strict(text []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(value)
}

// seconds turns 1.5 into 1.5 s.
func seconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}

// instant turns Unix seconds, with a fraction, into a time.
func instant(number float64) time.Time {
	whole := int64(number)
	return time.Unix(whole, int64((number-float64(whole))*1e9))
}

// unix is the other way; a time that was never set is nothing.
func unix(moment time.Time) any {
	if moment.IsZero() {
		return nil
	}
	return float64(moment.UnixNano()) / 1e9
}

// options are all that a task can be enqueued with.
type options struct {
	Queue     *string  `json:"queue"`
	MaxRetry  *int     `json:"max_retry"`
	Timeout   *float64 `json:"timeout"`
	Deadline  *float64 `json:"deadline"`
	Unique    *float64 `json:"unique"`
	ProcessAt *float64 `json:"process_at"`
	ProcessIn *float64 `json:"process_in"`
	TaskID    *string  `json:"task_id"`
	Retention *float64 `json:"retention"`
	Group     *string  `json:"group"`
}

func (o options) list() []asynq.Option {
	var list []asynq.Option
	add(&list, o.Queue, asynq.Queue)
	add(&list, o.MaxRetry, asynq.MaxRetry)
	add(&list, o.Timeout, func(n float64) asynq.Option { return asynq.Timeout(seconds(n)) })
	add(&list, o.Deadline, func(n float64) asynq.Option { return asynq.Deadline(instant(n)) })
	add(&list, o.Unique, func(n float64) asynq.Option { return asynq.Unique(seconds(n)) })
	add(&list, o.ProcessAt, func(n float64) asynq.Option { return asynq.ProcessAt(instant(n)) })
	add(&list, o.ProcessIn, func(n float64) asynq.Option { return asynq.ProcessIn(seconds(n)) })
	add(&list, o.TaskID, asynq.TaskID)
	add(&list, o.Retention, func(n float64) asynq.Option { return asynq.Retention(seconds(n)) })
	add(&list, o.Group, asynq.Group)
	return list
}

func add[T any](list *[]asynq.Option, value *T, option func(T) asynq.Option) {
	if value != nil {
		*list = append(*list, option(*value))
	}
}

// task is what is enqueued, now or by a scheduler.
type task struct {
	Type    string            `json:"type"`
	Payload []byte            `json:"payload"`
	Headers map[string]string `json:"headers"`
	Options options           `json:"options"`
}

func (t task) make() *asynq.Task {
	if t.Headers == nil {
		return asynq.NewTask(t.Type, t.Payload)
	}
	return asynq.NewTaskWithHeaders(t.Type, t.Payload, t.Headers)
}

// describe shows a task as Go's inspector sees it.
func describe(info *asynq.TaskInfo) map[string]any {
	return map[string]any{
		"id":              info.ID,
		"queue":           info.Queue,
		"type":            info.Type,
		"payload":         info.Payload,
		"headers":         info.Headers,
		"state":           info.State.String(),
		"max_retry":       info.MaxRetry,
		"retried":         info.Retried,
		"last_error":      info.LastErr,
		"last_failed_at":  unix(info.LastFailedAt),
		"timeout":         info.Timeout.Seconds(),
		"deadline":        unix(info.Deadline),
		"group":           info.Group,
		"next_process_at": unix(info.NextProcessAt),
		"is_orphaned":     info.IsOrphaned,
		"retention":       info.Retention.Seconds(),
		"completed_at":    unix(info.CompletedAt),
		"result":          info.Result,
	}
}

func describeAll(infos []*asynq.TaskInfo) []any {
	all := []any{}
	for _, info := range infos {
		all = append(all, describe(info))
	}
	return all
}

func texts(list []asynq.Option) []string {
	all := []string{}
	for _, option := range list {
		all = append(all, option.String())
	}
	return all
}
