package main

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

var held [][]byte

func TestMemoryGoesBackWhenTheProcessRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const much = 128 << 20
		for range 128 {
			held = append(held, make([]byte, much/128))
		}
		held = nil
		var m runtime.MemStats
		for stays := uint64(much); stays > much/2; stays = m.HeapInuse + m.HeapIdle - m.HeapReleased {
			ctx, end := context.WithTimeout(t.Context(), 3*restLook)
			giveBack(ctx, 0)
			end()
			runtime.ReadMemStats(&m)
		}
	})
}

func TestAProcessThatWorksOrAllocatedLittleIsLeftAlone(t *testing.T) {
	var r rest
	var ran time.Duration
	var all uint64
	look := func(used time.Duration, more uint64) bool {
		ran, all = ran+used, all+more
		return r.due(ran, all, 10<<20)
	}
	for _, c := range []struct {
		when string
		used time.Duration
		more uint64
		due  bool
	}{
		{"after its start", 5 * restUse, 50 << 20, false},
		{"at rest after its start", 0, 0, true},
		{"with nothing new", 0, 1 << 20, false},
		{"at work", 2 * restUse, 50 << 20, false},
		{"still at work", restUse, 0, false},
		{"at rest after work", restUse / 2, 0, true},
		{"with less than half of what lives", 0, 5 << 20, false},
		{"with more than that", 0, 1 << 10, true},
	} {
		if due := look(c.used, c.more); due != c.due {
			t.Errorf("%s: memory goes back: %t, want %t", c.when, due, c.due)
		}
	}
}
