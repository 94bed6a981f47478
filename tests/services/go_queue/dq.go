package main

import (
	"encoding/json"
	"time"

	"github.com/zeromicro/go-queue/dq"
	"github.com/zeromicro/go-zero/core/conf"
	"github.com/zeromicro/go-zero/core/proc"
)

// dqProduce is a producer on several nodes, or with "single" on one.
func dqProduce(config []byte) map[string]verb {
	var c struct {
		Beanstalks []dq.Beanstalk
		Single     bool
	}
	must(read(config, &c))
	var producer dq.Producer
	if c.Single {
		producer = dq.NewProducerNode(c.Beanstalks[0].Endpoint, c.Beanstalks[0].Tube)
	} else {
		producer = dq.NewProducer(c.Beanstalks)
	}
	return map[string]verb{
		"delay": func(with json.RawMessage) (any, error) {
			var a struct {
				Payload []byte
				Ns      int64
			}
			must(read(with, &a))
			return producer.Delay(a.Payload, time.Duration(a.Ns))
		},
		"at": func(with json.RawMessage) (any, error) {
			var a struct {
				Payload []byte
				UnixNs  int64 `json:"unix_ns"`
			}
			must(read(with, &a))
			return producer.At(a.Payload, time.Unix(0, a.UnixNs))
		},
		"revoke": func(with json.RawMessage) (any, error) {
			var a struct{ Ids string }
			must(read(with, &a))
			return nil, producer.Revoke(a.Ids)
		},
		"close": func(json.RawMessage) (any, error) { return nil, producer.Close() },
	}
}

// dqConsume consumes until SIGTERM. Its configuration is a DqConf.
func dqConsume(config []byte) map[string]verb {
	var c dq.DqConf
	must(conf.LoadFromJsonBytes(config, &c))
	consumer := dq.NewConsumer(c)
	proc.AddShutdownListener(func() { tell("stopping", nil) })
	go func() {
		consumer.Consume(func(body []byte) {
			tell("begin", map[string]any{"payload": body, "unix_ns": time.Now().UnixNano()})
			err := script(string(body))
			tell("end", map[string]any{"payload": body, "outcome": outcome(err)})
		})
		ended()
	}()
	return nil
}
