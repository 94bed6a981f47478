package main

import (
	"encoding/json"
	"sync"
	"sync/atomic"

	"github.com/hibiken/asynq"
)

func init() {
	verbs["enqueue"] = enqueue
	verbs["enqueue_many"] = enqueueMany
}

func enqueue(d *driver, with json.RawMessage) (any, error) {
	one, err := read[task](with)
	if err != nil {
		return nil, err
	}
	info, err := d.client.Enqueue(one.make(), one.Options.list()...)
	if err != nil {
		return nil, err
	}
	return describe(info), nil
}

// enqueueMany enqueues equal tasks, but for the ids, from many goroutines.
func enqueueMany(d *driver, with json.RawMessage) (any, error) {
	form, err := read[struct {
		Task task     `json:"task"`
		IDs  []string `json:"ids"`
	}](with)
	if err != nil {
		return nil, err
	}
	const goroutines = 20
	var group sync.WaitGroup
	var next atomic.Int64
	failed := make([]error, goroutines)
	for number := range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				index := int(next.Add(1)) - 1
				if index >= len(form.IDs) {
					return
				}
				list := append(form.Task.Options.list(), asynq.TaskID(form.IDs[index]))
				if _, err := d.client.Enqueue(form.Task.make(), list...); err != nil {
					failed[number] = err
					return
				}
			}
		}()
	}
	group.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, err
		}
	}
	return len(form.IDs), nil
}
