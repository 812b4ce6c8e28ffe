// Command slow holds thousands of slow clients against a router, and against
// nginx, and prints what they cost it, what the clients of another app notice, and
// how each of them ends. See bench/slow.
package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is a way to be slow.
type kind struct {
	name  string
	count int
	begin string // what a client says at once
	drip  string // and then now and then
	every time.Duration
	reads bool   // it reads what it is told
	ends  string // how the router ends it
	by    time.Duration
}

// Some have a connection to their app beside that to the client, so that fewer
// fit into the descriptors of a process.
var kinds = []kind{
	{"says nothing", 15000, "", "", 0, true, "no answer", 10 * time.Second},
	{"a byte of a head now and then", 15000, "GET / HTTP/1.1\r\nHost: slow.test\r\nX-Slow: ", "x", 2 * time.Second, true, "408", 10 * time.Second},
	{"a body slower than it may be", 8000, "POST / HTTP/1.1\r\nHost: slow.test\r\nContent-Length: 100000\r\n\r\n", "x", 5 * time.Second, true, "408", 30 * time.Second},
	{"a small body that never comes", 8000, "POST / HTTP/1.1\r\nHost: slow.test\r\nContent-Length: 1000\r\n\r\nx", "x", 5 * time.Second, true, "408", 30 * time.Second},
	{"an answer that nobody takes", 8000, "GET /large HTTP/1.1\r\nHost: slow.test\r\n\r\n", "", 0, false, "cut off", 30 * time.Second},
}

// kindNamed is a kind, of so many where that is said.
func kindNamed(part, count string) *kind {
	at := slices.IndexFunc(kinds, func(k kind) bool { return strings.Contains(k.name, part) })
	if at < 0 {
		return nil
	}
	k := kinds[at]
	if n, err := strconv.Atoi(count); err == nil {
		k.count = n
	}
	return &k
}

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 1 && args[0] == "app":
		err = app()
	case len(args) == 3 && args[0] == "edge":
		err = edge(args[1], args[2])
	case len(args) == 2 && args[0] == "ask":
		err = ask(args[1])
	case len(args) == 4 && args[0] == "crowd":
		err = crowd(kindNamed(args[1], args[2]), args[3])
	case len(args) == 2:
		err = measure(args[0], args[1])
	default:
		err = measure(strings.Join(args, " "), "")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/slow:", err)
		os.Exit(1)
	}
}

func measure(part, count string) error {
	runtime.LockOSThread() // whose end would end the others
	fmt.Printf("%-30s %6s  %15s  %15s  %15s %15s %15s\n", "", "", "KB each", "CPU ms a second", "p99 ms alone", "as they come", "beside them")
	fmt.Printf("%-30s %6s  %15s  %15s  %15s %15s %15s\n", "", "", "nginx", "nginx", "nginx", "nginx", "nginx")
	var aims []string
	for i := range kinds {
		if k := kindNamed(kinds[i].name, count); strings.Contains(k.name, part) {
			missed, err := compare(k)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			aims = append(aims, missed...)
		}
	}
	fmt.Println()
	for _, aim := range aims {
		fmt.Println(aim)
	}
	return nil
}

// compare measures one kind against both.
func compare(k *kind) (aims []string, err error) {
	ours, err := hold(k, startEdge)
	if err != nil {
		return nil, err
	}
	theirs, err := hold(k, startNginx)
	if err != nil {
		return nil, fmt.Errorf("nginx: %w", err)
	}
	two := func(a, b float64) string { return fmt.Sprintf("%.1f %7.1f", a, b) }
	fmt.Printf("%-30s %6d  %15s  %15s  %15s %15s %15s\n", k.name, k.count, two(ours.each, theirs.each), two(ours.cpu, theirs.cpu),
		two(ours.alone, theirs.alone), two(ours.coming, theirs.coming), two(ours.beside, theirs.beside))
	fmt.Printf("%-30s ended within %.0f s: %s\n", "", ours.took.Seconds(), ours.ended)
	met := func(ok bool) string {
		if ok {
			return "met   "
		}
		return "missed"
	}
	// nginx' own p99 says how much of it is the machine's.
	return []string{
		fmt.Sprintf("%s %s: others' p99 beside them %.2f ms, %.2f times nginx' in the same minutes (aim 1.25, or 1 ms above alone)", met(ours.beside <= 1.25*theirs.beside || ours.beside <= ours.alone+1), k.name, ours.beside, ours.beside/theirs.beside),
		fmt.Sprintf("%s %s: others' p99 as they come %.2f ms, %.2f times nginx' (aim 1.25)", met(ours.coming <= 1.25*theirs.coming), k.name, ours.coming, ours.coming/theirs.coming),
		fmt.Sprintf("%s %s: %.1f KB each (aim 64)", met(ours.each <= 64), k.name, ours.each),
		fmt.Sprintf("%s %s: all ended as they are to, within %.0f s (aim %.0f)", met(ours.ended == fmt.Sprintf("%s: %d", k.ends, k.count) && ours.took <= k.by+k.by/4+2*time.Second), k.name, ours.took.Seconds(), k.by.Seconds()),
	}, nil
}
