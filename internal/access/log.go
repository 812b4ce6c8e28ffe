package access

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// LogOptions are what a Log is opened with.
type LogOptions struct {
	// Path of the file, made with mode 0640. "-" is the standard output.
	Path string
	// Lines, when not nil, takes the lines in Path's place, without their ends;
	// the slice holds during the call, and only one runs at a time. False: there
	// was no room for it.
	Lines  func(app string, line []byte) bool
	Format Format
	// Sample is how many of a thousand requests are written where an app says
	// nothing else; those that failed always are. 0: only those.
	Sample int
	// Query writes the query strings of requests, which may hold secrets.
	Query bool
	// MaxBytes of a file: then it is set aside as Path.1, and so on up to Keep.
	// Default 100 MiB and 5. The standard output has no bound.
	MaxBytes int64
	Keep     int
}

const (
	// ringBytes bounds the lines that wait for the disk.
	ringBytes = 1 << 20
	// gather is how long lines wait for others to be written with.
	gather = 20 * time.Millisecond
)

// Log writes lines. All methods are safe for concurrent use.
type Log struct {
	log *slog.Logger
	opt LogOptions

	mu      sync.Mutex // held to copy a line, or to swap the buffers
	waiting []byte
	lost    int64 // lines since the last that was written
	closed  bool

	full    chan struct{} // capacity 1: half of the room is taken, or more is to be done
	some    chan struct{} // capacity 1: there is a line
	done    chan struct{}
	written atomic.Int64
	dropped atomic.Int64
	reopen  atomic.Bool

	// Of the writer.
	out     *file
	broken  bool
	batches []byte
}

// OpenLog opens a log and begins to write. The error is that of its file.
func OpenLog(log *slog.Logger, opt LogOptions) (*Log, error) {
	if opt.MaxBytes <= 0 {
		opt.MaxBytes = 100 << 20
	}
	if opt.Keep <= 0 {
		opt.Keep = 5
	}
	l := &Log{
		log: log, opt: opt, waiting: make([]byte, 0, ringBytes), batches: make([]byte, 0, ringBytes),
		full: make(chan struct{}, 1), some: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if opt.Lines == nil {
		var err error
		if l.out, err = openFile(opt.Path, opt.MaxBytes, opt.Keep); err != nil {
			return nil, err
		}
	}
	go l.run() // until Close
	return l, nil
}

// Wants reports whether a request is to be written. Sample is its app's word,
// nil: none.
func (l *Log) Wants(sample *int, failed bool) bool {
	if failed {
		return true
	}
	share := l.opt.Sample
	if sample != nil {
		share = *sample
	}
	return share >= 1000 || share > 0 && rand.IntN(1000) < share
}

// Write takes a line down. It waits for no disk: without room the line is
// dropped, and that is counted, written and logged.
func (l *Log) Write(r *Record) {
	var space [1024]byte
	line := l.format(space[:0], r)
	l.mu.Lock()
	need := len(line)
	if l.opt.Lines != nil {
		need += len(r.App) + 1
	}
	if l.closed || len(l.waiting)+need > cap(l.waiting) {
		l.lost++
		l.mu.Unlock()
		l.dropped.Add(1)
		return
	}
	first := len(l.waiting) == 0
	if l.opt.Lines != nil {
		l.waiting = append(append(l.waiting, r.App...), 0)
	}
	l.waiting = append(l.waiting, line...)
	half := len(l.waiting) > ringBytes/2
	l.mu.Unlock()
	if first {
		nudge(l.some)
	}
	if half {
		nudge(l.full)
	}
}

// Reopen opens the file again, for who has moved it away. A file that was moved
// is noticed all the same, with the next lines.
func (l *Log) Reopen() {
	l.reopen.Store(true)
	nudge(l.some)
}

// Counts is how many lines were written, and how many dropped.
func (l *Log) Counts() (written, dropped int64) { return l.written.Load(), l.dropped.Load() }

// Close writes what waits and ends the log; later lines are dropped.
func (l *Log) Close() error {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	if !was {
		nudge(l.some)
		nudge(l.full)
	}
	<-l.done
	if was || l.out == nil {
		return nil
	}
	return l.out.Close()
}

// run is the one writer.
func (l *Log) run() {
	defer close(l.done)
	pause := time.NewTimer(gather)
	defer pause.Stop()
	for {
		<-l.some
		pause.Reset(gather)
		select {
		case <-pause.C:
		case <-l.full:
		}
		if !l.flush() {
			return
		}
	}
}

// flush writes what waits, and reports false when nothing more comes.
func (l *Log) flush() bool {
	l.mu.Lock()
	batch, lost, closed := l.waiting, l.lost, l.closed
	l.waiting, l.lost = l.batches[:0], 0
	l.mu.Unlock()
	l.batches = batch
	if lost > 0 {
		l.log.Warn("lines of the access log were dropped", "lines", lost)
	}
	if l.opt.Lines != nil {
		l.deliver(batch)
		return !closed
	}
	if l.reopen.Swap(false) {
		l.complain(l.out.reopen())
	}
	if len(batch) > 0 || lost > 0 {
		l.write(batch, lost)
	}
	return !closed
}

func (l *Log) write(batch []byte, lost int64) {
	lines := int64(count(batch))
	if lost > 0 {
		batch = l.droppedLine(batch, lost)
	}
	err := l.out.write(batch)
	l.complain(err)
	if err != nil {
		l.dropped.Add(lines)
		return
	}
	l.written.Add(lines)
}

// complain says once that the file cannot be written, and once that it can.
func (l *Log) complain(err error) {
	switch {
	case err != nil && !l.broken:
		l.log.Error("access log cannot be written", "err", err)
	case err == nil && l.broken:
		l.log.Info("access log is written again")
	}
	l.broken = err != nil
}

// deliver hands lines on: each stands behind its app and a NUL.
func (l *Log) deliver(batch []byte) {
	for len(batch) > 0 {
		nul, end := index(batch, 0), index(batch, '\n')
		if l.opt.Lines(string(batch[:nul]), batch[nul+1:end]) {
			l.written.Add(1)
		} else {
			l.dropped.Add(1)
		}
		batch = batch[end+1:]
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
