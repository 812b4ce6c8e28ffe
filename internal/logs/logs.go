// Package logs keeps what apps, builds and the controller say: it is handed
// lines, holds the last of them in memory and the history on disk within a
// bound per app, and hands on tails, as they are or as they come.
package logs

import (
	"container/list"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Options of Logs. The zero value of each field but Dir is its default.
type Options struct {
	// Dir holds one directory an app. It is made when it is not there.
	Dir string
	// BytesPerApp bounds an app's history on disk: 10 MiB. The oldest eighth
	// goes when it is full; far below 1 MiB, long lines leave little history.
	BytesPerApp int64
	// Ring is how many lines of an app are kept in memory once somebody looks
	// at them: 1000. Ring lines may use at most RingBytes: 512 KiB.
	Ring      int
	RingBytes int
	// Resident is how many apps may have a ring or an open file at a time: 32.
	// More apps that log at once cost opening their files again and again.
	Resident int
}

func (o Options) withDefaults() Options {
	if o.BytesPerApp <= 0 {
		o.BytesPerApp = 10 << 20
	}
	if o.Ring <= 0 {
		o.Ring = 1000
	}
	if o.RingBytes <= 0 {
		o.RingBytes = 512 << 10
	}
	if o.Resident <= 0 {
		o.Resident = 32
	}
	return o
}

// Logs are the streams of all apps. Safe for concurrent use.
//
// Lines reach the kernel before Append returns, so a kill -9 loses none; a
// power cut may lose the last seconds, and then Cursor says so, because an
// instance's offset is kept in the line itself.
type Logs struct {
	log     *slog.Logger
	options Options
	disk    *disk

	mu       sync.Mutex
	closed   bool
	streams  map[string]*stream
	renamed  map[string]string // ids to those whose streams have their lines now
	resident *list.List        // of *stream, the one used last in front
}

// Open makes Options.Dir if need be. No stream is read until it is asked for.
func Open(log *slog.Logger, options Options) (*Logs, error) {
	options = options.withDefaults()
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	l := &Logs{
		log: log, options: options, disk: &disk{log: log},
		streams: make(map[string]*stream), renamed: make(map[string]string), resident: list.New(),
	}
	return l, l.sweep()
}

// trashPrefix begins the names of directories on their way out; no app's does.
const trashPrefix = ".removed-"

// sweep finishes removals that a crash broke off.
func (l *Logs) sweep() error {
	entries, err := os.ReadDir(l.options.Dir)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), trashPrefix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(l.options.Dir, entry.Name())))
		}
	}
	return err
}

// Append adds lines to the app's stream, in order. A text with line ends
// becomes several lines; a zero At becomes now. It cannot fail: what the disk
// does not take is counted, told in the log once, and still goes to the ring
// and to followers.
func (l *Logs) Append(app string, lines ...platform.LogLine) {
	records := make([]record, 0, len(lines))
	for _, line := range lines {
		line.App = app
		for text := range strings.Lines(line.Text) {
			piece := line
			piece.Text = text
			records = append(records, record{line: cleanLine(piece)})
		}
		if line.Text == "" {
			records = append(records, record{line: cleanLine(line)})
		}
	}
	l.append(app, records)
}

// AppendNode adds what a node sent. Lines at or before the Cursor of their
// instance are duplicates and skipped, also after a restart. Lines of an
// instance come in the order of their offsets.
func (l *Logs) AppendNode(lines []platform.NodeLogLine) {
	for len(lines) > 0 {
		app, n := lines[0].App, 1
		for n < len(lines) && lines[n].App == app {
			n++
		}
		records := make([]record, 0, n)
		for _, line := range lines[:n] {
			records = append(records, record{line: cleanLine(line.LogLine), offset: line.Offset})
		}
		l.append(app, records)
		lines = lines[n:]
	}
}

func (l *Logs) append(app string, records []record) {
	if len(records) == 0 {
		return
	}
	for s := l.stream(app); s != nil && !s.append(records); s = l.stream(app) {
		// It moved to another id in between.
	}
}

// Cursor is the highest offset stored of the instance's output; 0 when none is.
func (l *Logs) Cursor(instance string) int64 {
	// The app's id is some part of the instance's before a hyphen.
	for end := len(instance) - 1; end > 0; end-- {
		if instance[end] != '-' || !l.known(instance[:end]) {
			continue
		}
		if s := l.stream(instance[:end]); s != nil {
			if offset := s.cursor(instance); offset > 0 {
				return offset
			}
		}
	}
	return 0
}

// known reports whether anything was ever logged of the app.
func (l *Logs) known(app string) bool {
	if platform.ValidAppID(app) != nil {
		return false
	}
	l.mu.Lock()
	_, found := l.streams[app]
	if _, moved := l.renamed[app]; moved {
		found = true
	}
	l.mu.Unlock()
	if found {
		return true
	}
	_, err := os.Stat(filepath.Join(l.options.Dir, app))
	return err == nil
}

// Remove takes away the app's lines and ends its followers. Of an app that was
// renamed it takes nothing away but what comes from now on. Idempotent.
func (l *Logs) Remove(app string) error {
	l.mu.Lock()
	delete(l.renamed, app)
	l.mu.Unlock()
	s := l.stream(app)
	if s == nil {
		return nil
	}
	// Under the lock, so that an app of the same name begins with nothing; the
	// slow part comes after.
	trash := filepath.Join(l.options.Dir, fmt.Sprintf("%s%s-%d", trashPrefix, app, time.Now().UnixNano()))
	l.mu.Lock()
	if l.streams[app] == s {
		delete(l.streams, app)
	}
	l.rest(s)
	err := s.remove(trash)
	l.mu.Unlock()
	if err = errors.Join(err, os.RemoveAll(trash)); err != nil {
		return fmt.Errorf("logs of %s: %w", app, err)
	}
	return nil
}

// Close ends all followers and closes all files. Lines appended after it are dropped.
func (l *Logs) Close() error {
	l.mu.Lock()
	streams := l.streams
	l.closed, l.streams = true, nil
	l.resident.Init()
	l.mu.Unlock()
	var failures []error
	for _, s := range streams {
		failures = append(failures, s.close())
	}
	return errors.Join(failures...)
}

// stream is the app's, marked as the one used last; nil when the id is no
// app's or Logs is closed. To stay within Options.Resident it puts the ones
// used longest ago to rest.
func (l *Logs) stream(app string) *stream {
	if platform.ValidAppID(app) != nil {
		return nil
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	if id, moved := l.renamed[app]; moved {
		app = id
	}
	s := l.streams[app]
	if s == nil {
		s = newStream(app, l.options, l.disk)
		l.streams[app] = s
	}
	if s.place == nil {
		s.place = l.resident.PushFront(s)
	} else {
		l.resident.MoveToFront(s.place)
	}
	var tired []*stream
	for l.resident.Len() > l.options.Resident {
		last, _ := l.resident.Back().Value.(*stream)
		l.rest(last)
		tired = append(tired, last)
	}
	l.mu.Unlock()
	for _, t := range tired {
		t.rest()
	}
	return s
}

// rest takes s off the list of residents. The caller holds mu.
func (l *Logs) rest(s *stream) {
	if s.place != nil {
		l.resident.Remove(s.place)
		s.place = nil
	}
}
