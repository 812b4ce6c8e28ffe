package router

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// One that was told that its time is over may be on its way out when the time of
// all is.
func TestWhoIsAtTheDoorWhenTheTimeIsOverIsNotSaidToBeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &instance{id: "one"}
		i.door.enter()
		ctx, cancel := context.WithDeadline(t.Context(), time.Now()) // it is over
		defer cancel()
		drained := make(chan error, 1)
		go func() { drained <- i.drained(ctx, i.door.shut(), 0) }()
		synctest.Wait()
		i.door.leave()
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

type parted struct {
	mu *sync.Mutex
	of *[]time.Duration
	t0 time.Time
}

func (p *parted) part() {
	p.mu.Lock()
	defer p.mu.Unlock()
	*p.of = append(*p.of, time.Since(p.t0))
}

func TestUpgradedConnectionsPartEachInItsTimeAndNotAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s tunnels
		var mu sync.Mutex
		var short, long []time.Duration
		t0 := time.Now()
		for range 50 {
			s.add(&parted{&mu, &short, t0}, 0)
			s.add(&parted{&mu, &long, t0}, time.Hour)
		}
		gone := &parted{&mu, &long, t0}
		s.add(gone, time.Minute)
		s.leave(time.Minute)
		s.remove(gone)
		s.leave(time.Second) // whoever asks again changes nothing
		time.Sleep(30 * time.Second)
		synctest.Wait()
		mu.Lock()
		early := len(short) + len(long)
		mu.Unlock()
		if s.add(&parted{&mu, &short, t0}, 0); early > 0 {
			t.Errorf("%d parted at once", early)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for limit, all := range map[time.Duration][]time.Duration{time.Minute: short, time.Hour: long} {
			spread := min(limit/10, longestSpread)
			if len(all) < 50 || all[0] < limit-spread || all[len(all)-1] > limit || all[len(all)-1]-all[0] < spread/2 {
				t.Errorf("within %s parted %d: %v", limit, len(all), all)
			}
		}
		if len(short) != 51 || len(long) != 50 {
			t.Errorf("%d and %d parted", len(short), len(long))
		}
	})
}
