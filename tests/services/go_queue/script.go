package main

import (
	"errors"
	"os"
	"strings"
	"time"
)

// script does what a message says behind its name: "m1", "m1 sleep 300ms", "m1 until FILE", "m1 fail", "m1 panic".
func script(message string) error {
	words := strings.Fields(message)
	if len(words) < 2 {
		return nil
	}
	switch words[1] {
	case "sleep":
		pause, err := time.ParseDuration(words[2])
		must(err)
		time.Sleep(pause)
	case "until":
		for {
			if _, err := os.Stat(words[2]); err == nil {
				return nil
			}
			time.Sleep(5 * time.Millisecond)
		}
	case "fail":
		return errors.New("as told")
	case "panic":
		panic("as told")
	}
	return nil
}

func outcome(err error) string {
	if err != nil {
		return err.Error()
	}
	return "ok"
}
