package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/zeromicro/go-queue/kq"
	"github.com/zeromicro/go-zero/core/conf"
	"github.com/zeromicro/go-zero/core/proc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

type message struct {
	Key     string
	Payload []byte
	Trace   string // a traceparent, as from the request that is being served
}

// context returns one in which the trace goes on that the message names.
func (m message) context() context.Context {
	headers := propagation.MapCarrier{"traceparent": m.Trace}
	return propagation.TraceContext{}.Extract(context.Background(), headers)
}

func kqPush(config []byte) map[string]verb {
	var c struct {
		Brokers    []string
		Topic      string
		Chunk      int
		IntervalMs int `json:"interval_ms"`
		Sync       bool
		Hash       bool
	}
	must(read(config, &c))
	var options []kq.PushOption
	if c.Chunk > 0 {
		options = append(options, kq.WithChunkSize(c.Chunk))
	}
	if c.IntervalMs > 0 {
		options = append(options, kq.WithFlushInterval(time.Duration(c.IntervalMs)*time.Millisecond))
	}
	if c.Sync {
		options = append(options, kq.WithSyncPush())
	}
	if c.Hash {
		options = append(options, kq.WithBalancer(&kafka.Hash{}))
	}
	pusher := kq.NewPusher(c.Brokers, c.Topic, options...)
	return map[string]verb{
		"push": func(with json.RawMessage) (any, error) {
			var m message
			must(read(with, &m))
			return nil, pusher.Push(m.context(), string(m.Payload))
		},
		"push_with_key": func(with json.RawMessage) (any, error) {
			var m message
			must(read(with, &m))
			return nil, pusher.PushWithKey(m.context(), m.Key, string(m.Payload))
		},
		"kpush": func(with json.RawMessage) (any, error) {
			var m message
			must(read(with, &m))
			return nil, pusher.KPush(m.context(), m.Key, string(m.Payload))
		},
		"close": func(json.RawMessage) (any, error) { return nil, pusher.Close() },
		"name":  func(json.RawMessage) (any, error) { return pusher.Name(), nil },
	}
}

// kqConsume consumes until SIGTERM or the verb "stop". Its configuration is a KqConf and the options of a queue.
func kqConsume(config []byte) map[string]verb {
	var c struct {
		Queue            json.RawMessage
		Ours             json.RawMessage // what only our side can be told
		CommitIntervalMs int             `json:"commit_interval_ms"`
		MaxWaitMs        int             `json:"max_wait_ms"`
		Capacity         int
	}
	must(read(config, &c))
	var settings kq.KqConf
	must(conf.LoadFromJsonBytes(c.Queue, &settings))
	var options []kq.QueueOption
	if c.CommitIntervalMs > 0 {
		options = append(options, kq.WithCommitInterval(time.Duration(c.CommitIntervalMs)*time.Millisecond))
	}
	if c.MaxWaitMs > 0 {
		options = append(options, kq.WithMaxWait(time.Duration(c.MaxWaitMs)*time.Millisecond))
	}
	if c.Capacity > 0 {
		options = append(options, kq.WithQueueCapacity(c.Capacity))
	}
	handler := kq.WithHandle(func(ctx context.Context, key, value string) error {
		of := trace.SpanContextFromContext(ctx)
		id := ""
		if of.HasTraceID() {
			id = of.TraceID().String()
		}
		tell("begin", map[string]any{"key": key, "payload": []byte(value), "trace": id})
		err := script(value)
		tell("end", map[string]any{"key": key, "payload": []byte(value), "outcome": outcome(err)})
		return err
	})
	queue, err := kq.NewQueue(settings, handler, options...)
	must(err)
	proc.AddShutdownListener(func() { tell("stopping", nil) })
	go func() {
		queue.Start()
		ended()
	}()
	return map[string]verb{
		"stop": func(json.RawMessage) (any, error) { queue.Stop(); return nil, nil },
	}
}
