package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"time"
)

// A process rests when it allocated hardly anything between two looks. It is
// worth a collection then if enough was allocated since the last one.
const (
	restLook  = 10 * time.Second
	restQuiet = 1 << 20
	restWorth = 4 << 20
)

// giveBack gives memory back to the system whenever the process comes to rest,
// until ctx ends: Go's runtime collects when the heap has doubled, and where
// nothing allocates, what a start or a push took would stay until then.
func giveBack(ctx context.Context) {
	tick := time.NewTicker(restLook)
	defer tick.Stop()
	var seen, given uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all, live := allocated()
		quiet := all-seen < restQuiet
		seen = all
		if quiet && all-given > max(restWorth, live/2) {
			debug.FreeOSMemory()
			leavePages()
			given = all
		}
	}
}

// allocated is how many bytes of heap there ever were, and how many lived
// through the last collection.
func allocated() (all, live uint64) {
	two := [...]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(two[:])
	return two[0].Value.Uint64(), two[1].Value.Uint64()
}

// leavePages ends the use of the pages of the program that are not needed right
// now, most of which only the start of its packages read: they stay in the
// system's cache, but nobody holds them there. One that is needed again is
// mapped again, which costs less than a microsecond while it is cached.
func leavePages() {
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return // they are not to be had, then
	}
	defer file.Close()
	var mapping string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if !strings.HasSuffix(fields[0], ":") {
			mapping = lines.Text()
		} else if fields[0] == "Anonymous:" && fields[1] == "0" { // no page of it is other than the file's
			leave(mapping)
		}
	}
}

// leave ends the use of a mapping's pages where they are a file's, to be read
// alone: "00400000-02977000 r-xp 00000000 fe:00 1234 /usr/bin/slipway".
func leave(mapping string) {
	var from, to uintptr
	var may, offset, device string
	var inode uint64
	_, err := fmt.Sscanf(mapping, "%x-%x %s %s %s %d", &from, &to, &may, &offset, &device, &inode)
	if err == nil && inode != 0 && (may == "r-xp" || may == "r--p") {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED)
	}
}
