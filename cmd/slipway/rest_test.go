package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
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
		rest(t, 3*restLook, func() {})
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapInuse+m.HeapIdle-m.HeapReleased > much/2 {
			t.Errorf("the process still has %d MiB of heap in use and %d of free pages", m.HeapInuse>>20, (m.HeapIdle-m.HeapReleased)>>20)
		}
	})
}

func TestAProcessThatAllocatesIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rest(t, 5*restLook, func() { held = [][]byte{make([]byte, 2*restQuiet)} })
		held = nil
		runtime.ReadMemStats(&after)
		if after.NumForcedGC != before.NumForcedGC {
			t.Errorf("it was collected %d times", after.NumForcedGC-before.NumForcedGC)
		}
	})
}

// rest has giveBack look on for a while, with something done before each look.
func rest(t *testing.T, long time.Duration, do func()) {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), long+restLook/2)
	defer end()
	var doing sync.WaitGroup
	doing.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(restLook / 2) {
			do()
		}
	})
	giveBack(ctx)
	doing.Wait()
}

func TestPagesThatNobodyNeedsAreLeft(t *testing.T) {
	before := programPages(t)
	leavePages()
	if after := programPages(t); after > before*3/4 {
		t.Errorf("%d KiB of the program are mapped, %d before", after, before)
	}
}

// programPages is how much of the program's code and tables is mapped, in KiB.
func programPages(t *testing.T) (sum int) {
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mine := false
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line, n := lines.Text(), 0
		if strings.HasSuffix(line, program) {
			mine = !strings.Contains(line, " rw")
		} else if strings.HasPrefix(line, "VmFlags:") {
			mine = false
		}
		if _, err := fmt.Sscanf(line, "Rss: %d kB", &n); mine && err == nil {
			sum += n
		}
	}
	return sum
}
