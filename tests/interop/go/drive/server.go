package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

func init() {
	verbs["start_server"] = startServer
	verbs["stop_server"] = stopServer
	verbs["shutdown_server"] = shutdownServer
}

type config struct {
	Name        string         `json:"name"`
	Concurrency int            `json:"concurrency"`
	Queues      map[string]int `json:"queues"`
	Strict      bool           `json:"strict"`
	// Types are patterns of Go's mux; without them every type is run.
	Types []string `json:"types"`
	// All in seconds.
	Check      float64 `json:"check"`
	Delayed    float64 `json:"delayed"`
	Janitor    float64 `json:"janitor"`
	Shutdown   float64 `json:"shutdown"`
	RetryDelay float64 `json:"retry_delay"`
	Group      *struct {
		Grace    float64 `json:"grace"`
		MaxDelay float64 `json:"max_delay"`
		MaxSize  int     `json:"max_size"`
		Into     options `json:"into"`
		// Hold makes the aggregator take so long.
		Hold float64 `json:"hold"`
	} `json:"group"`
}

func startServer(d *driver, with json.RawMessage) (any, error) {
	form, err := read[config](with)
	if err != nil {
		return nil, err
	}
	settings := asynq.Config{
		Concurrency:              form.Concurrency,
		Queues:                   form.Queues,
		StrictPriority:           form.Strict,
		TaskCheckInterval:        seconds(form.Check),
		DelayedTaskCheckInterval: seconds(form.Delayed),
		JanitorInterval:          seconds(form.Janitor),
		ShutdownTimeout:          seconds(form.Shutdown),
		LogLevel:                 asynq.WarnLevel,
		IsFailure:                func(err error) bool { return !strings.Contains(err.Error(), notFailure) },
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration {
			return seconds(form.RetryDelay)
		},
	}
	if form.Group != nil {
		settings.GroupGracePeriod = seconds(form.Group.Grace)
		settings.GroupMaxDelay = seconds(form.Group.MaxDelay)
		settings.GroupMaxSize = form.Group.MaxSize
		settings.GroupAggregator = asynq.GroupAggregatorFunc(func(group string, tasks []*asynq.Task) *asynq.Task {
			merged := d.aggregate(group, tasks, form.Group.Into)
			time.Sleep(seconds(form.Group.Hold))
			return merged
		})
	}
	server := asynq.NewServer(d.redis, settings)
	if err := server.Start(d.handler(form.Types)); err != nil {
		return nil, err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.servers[form.Name] = server
	return nil, nil
}

func (d *driver) handler(types []string) asynq.Handler {
	if types == nil {
		return asynq.HandlerFunc(d.run)
	}
	mux := asynq.NewServeMux()
	for _, pattern := range types {
		mux.HandleFunc(pattern, d.run)
	}
	return mux
}

// aggregate makes one task of many: its payload is the list of theirs.
func (d *driver) aggregate(group string, tasks []*asynq.Task, into options) *asynq.Task {
	payloads, headers := [][]byte{}, []map[string]string{}
	for _, one := range tasks {
		payloads = append(payloads, one.Payload())
		headers = append(headers, one.Headers())
	}
	d.write(map[string]any{"event": "aggregate", "group": group, "payloads": payloads, "headers": headers})
	text, err := json.Marshal(map[string]any{"group": group, "payloads": payloads})
	if err != nil {
		panic(err)
	}
	return asynq.NewTask("aggregated", text, into.list()...)
}

func (d *driver) named(with json.RawMessage) (*asynq.Server, error) {
	form, err := read[struct {
		Name string `json:"name"`
	}](with)
	if err != nil {
		return nil, err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	server, ok := d.servers[form.Name]
	if !ok {
		return nil, fmt.Errorf("no server %q was started", form.Name)
	}
	return server, nil
}

func stopServer(d *driver, with json.RawMessage) (any, error) {
	server, err := d.named(with)
	if err == nil {
		server.Stop()
	}
	return nil, err
}

func shutdownServer(d *driver, with json.RawMessage) (any, error) {
	server, err := d.named(with)
	if err == nil {
		server.Shutdown()
	}
	return nil, err
}
