package main

import (
	"encoding/json"
	"time"

	"github.com/zeromicro/go-zero/core/collection"
	"github.com/zeromicro/go-zero/core/conf"
	"github.com/zeromicro/go-zero/core/proc"
	"github.com/zeromicro/go-zero/core/service"
)

// part is a service that tells what is done to it.
type part struct {
	name    string
	returns bool // its Start does not wait for its Stop
	linger  time.Duration
	left    chan struct{}
}

func (p part) Start() {
	tell("start", map[string]any{"name": p.name})
	if !p.returns {
		<-p.left
	}
	tell("returned", map[string]any{"name": p.name})
}

func (p part) Stop() {
	tell("stop", map[string]any{"name": p.name})
	time.Sleep(p.linger)
	tell("stopped", map[string]any{"name": p.name})
	close(p.left)
}

// group runs a ServiceGroup until it ends, and leaves then as a program does.
func group(config []byte) map[string]verb {
	var c struct {
		Services []struct {
			Name     string
			Returns  bool
			LingerMs int `json:"linger_ms"`
		}
		ForceQuitMs int `json:"force_quit_ms"`
	}
	must(read(config, &c))
	if c.ForceQuitMs > 0 {
		proc.SetTimeToForceQuit(time.Duration(c.ForceQuitMs) * time.Millisecond)
	}
	all := service.NewServiceGroup()
	for _, one := range c.Services {
		linger := time.Duration(one.LingerMs) * time.Millisecond
		all.Add(part{one.Name, one.Returns, linger, make(chan struct{})})
	}
	go func() {
		all.Start()
		ended()
	}()
	return map[string]verb{
		// Not waited for: the process ends with the group, and could not answer then.
		"stop": func(json.RawMessage) (any, error) { go all.Stop(); return nil, nil },
	}
}

func wheel(config []byte) map[string]verb {
	var c struct {
		IntervalMs int `json:"interval_ms"`
		Slots      int
	}
	must(read(config, &c))
	fired := func(how string) func(key, value any) {
		return func(key, value any) {
			tell(how, map[string]any{"key": key, "value": value, "unix_ns": time.Now().UnixNano()})
		}
	}
	made, err := collection.NewTimingWheel(time.Duration(c.IntervalMs)*time.Millisecond, c.Slots, fired("fired"))
	must(err)
	type timer struct {
		Key   string
		Value string
		Ms    int
	}
	reading := func(do func(timer) error) verb {
		return func(with json.RawMessage) (any, error) {
			var one timer
			must(read(with, &one))
			return nil, do(one)
		}
	}
	return map[string]verb{
		"set": reading(func(t timer) error {
			return made.SetTimer(t.Key, t.Value, time.Duration(t.Ms)*time.Millisecond)
		}),
		"move": reading(func(t timer) error {
			return made.MoveTimer(t.Key, time.Duration(t.Ms)*time.Millisecond)
		}),
		"remove": reading(func(t timer) error { return made.RemoveTimer(t.Key) }),
		"drain":  func(json.RawMessage) (any, error) { return nil, made.Drain(fired("drained")) },
		"stop":   func(json.RawMessage) (any, error) { made.Stop(); return nil, nil },
	}
}

// settings has one field for each thing that can be said about a field.
type settings struct {
	service.ServiceConf
	Owner  string
	Note   string        `json:",optional"`
	Port   int           `json:",default=8080"`
	Level  string        `json:",options=low|high,default=low"`
	Rate   int           `json:",range=[1:10),default=5"`
	Secret string        `json:",optional,env=RIG_SECRET"`
	Wait   time.Duration `json:",default=3s"`
}

// load reads configuration files as MustLoad does, but lives on when one is wrong.
func load([]byte) map[string]verb {
	return map[string]verb{
		"load": func(with json.RawMessage) (any, error) {
			var a struct {
				File   string
				UseEnv bool `json:"use_env"`
			}
			must(read(with, &a))
			var options []conf.Option
			if a.UseEnv {
				options = append(options, conf.UseEnv())
			}
			var loaded settings
			if err := conf.Load(a.File, &loaded, options...); err != nil {
				return nil, err
			}
			return map[string]any{
				"name": loaded.Name, "mode": loaded.Mode, "log_level": loaded.Log.Level,
				"prometheus_port": loaded.Prometheus.Port, "owner": loaded.Owner, "note": loaded.Note,
				"port": loaded.Port, "level": loaded.Level, "rate": loaded.Rate, "secret": loaded.Secret,
				"wait": loaded.Wait.Seconds(),
			}, nil
		},
	}
}
