package main

import (
	"encoding/json"
	"time"

	"github.com/hibiken/asynq"
)

func init() {
	verbs["start_scheduler"] = startScheduler
	verbs["shutdown_scheduler"] = shutdownScheduler
}

type plan struct {
	Name string `json:"name"`
	// Heartbeat is in seconds.
	Heartbeat float64 `json:"heartbeat"`
	Location  string  `json:"location"`
	Entries   []struct {
		Spec string `json:"spec"`
		Task task   `json:"task"`
	} `json:"entries"`
}

// startScheduler answers with the ids of the entries, in order.
func startScheduler(d *driver, with json.RawMessage) (any, error) {
	form, err := read[plan](with)
	if err != nil {
		return nil, err
	}
	location, err := time.LoadLocation(form.Location)
	if err != nil {
		return nil, err
	}
	scheduler := asynq.NewScheduler(d.redis, &asynq.SchedulerOpts{
		HeartbeatInterval: seconds(form.Heartbeat),
		Location:          location,
		LogLevel:          asynq.WarnLevel,
		PostEnqueueFunc:   d.enqueued,
	})
	ids := []string{}
	for _, entry := range form.Entries {
		id, err := scheduler.Register(entry.Spec, entry.Task.make(), entry.Task.Options.list()...)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if err := scheduler.Start(); err != nil {
		return nil, err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.schedulers[form.Name] = scheduler
	return ids, nil
}

func (d *driver) enqueued(info *asynq.TaskInfo, err error) {
	if err != nil {
		d.write(map[string]any{"event": "refused", "error": err.Error(), "kind": kind(err)})
		return
	}
	d.write(map[string]any{"event": "enqueued", "task": info.ID})
}

func shutdownScheduler(d *driver, with json.RawMessage) (any, error) {
	form, err := read[struct {
		Name string `json:"name"`
	}](with)
	if err != nil {
		return nil, err
	}
	d.mutex.Lock()
	scheduler := d.schedulers[form.Name]
	d.mutex.Unlock()
	scheduler.Shutdown()
	return nil, nil
}
