package main_test

import (
	"context"
	"fmt"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// load is a visitor of one host who comes again as soon as he was served, and
// has a new connection each time.
type load struct {
	stop   context.CancelFunc
	done   chan struct{}
	sent   int
	failed []string
}

func beginLoad(edge, host string) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for ctx.Err() == nil {
			l.visit(edge, host)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond): // the machine is for what is tested
			}
		}
	}()
	return l
}

func (l *load) visit(edge, host string) {
	l.sent++
	begun := time.Now()
	if status, body, err := get(edge, host, "/"); err != nil || status != 200 {
		l.failed = append(l.failed, fmt.Sprintf("%s: %d %q %v", begun.Format("15:04:05.000"), status, body, err))
	}
}

func (l *load) end() {
	l.stop()
	<-l.done
}

// loadCommand puts a constant light load on one app while a script goes on.
func loadCommand(ts *testscript.TestScript, neg bool, args []string) {
	d := ts.Value("platform").(*daemon)
	switch {
	case !neg && len(args) == 2 && args[0] == "begin" && d.load == nil:
		d.load = beginLoad(ts.Getenv("SLIPWAY_HTTP"), args[1])
		ts.Defer(d.load.end)
	case len(args) == 1 && args[0] == "end" && d.load != nil:
		l := d.load
		d.load = nil
		l.end()
		ts.Logf("%d requests", l.sent)
		switch {
		case neg && len(l.failed) == 0:
			ts.Fatalf("none of %d requests failed", l.sent)
		case !neg && len(l.failed) > 0:
			d.tell(ts)
			ts.Fatalf("%d of %d requests failed, first %s", len(l.failed), l.sent, l.failed[0])
		}
	default:
		ts.Fatalf("usage: load begin HOST, then load end, or ! load end where some shall fail")
	}
}
