// Package where reads the address of a Redis from the command line.
package where

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
)

// Redis turns an address into options: unix:///path, redis://host:port/db or cluster://host:port,host:port.
func Redis(address string) (asynq.RedisConnOpt, error) {
	if nodes, ok := strings.CutPrefix(address, "cluster://"); ok {
		return asynq.RedisClusterClientOpt{Addrs: strings.Split(nodes, ",")}, nil
	}
	found, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	switch found.Scheme {
	case "unix":
		return asynq.RedisClientOpt{Network: "unix", Addr: found.Path}, nil
	case "redis":
		db, _ := strconv.Atoi(strings.Trim(found.Path, "/"))
		return asynq.RedisClientOpt{Addr: found.Host, DB: db}, nil
	}
	return nil, fmt.Errorf("an address of Redis that is not understood: %q", address)
}
