package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	maxBatch   = 512 << 10             // bytes of lines in one request, about
	shipPause  = 20 * time.Millisecond // lines within it share a request
	retryPause = time.Second
	maxWords   = 1000 // lines of instances without an output that wait
)

// shipper brings the output of instances to the control plane. The files are
// the queue: what is not acknowledged is read again, and the control plane's
// cursors say where to go on, so a restart of either side neither loses nor
// doubles a line.
type shipper struct {
	log     *slog.Logger
	link    *link
	dir     string // of one file for each ended instance whose output is not all stored
	forget  func(id string) error
	watcher *fsnotify.Watcher // nil: the machine has none left
	kick    chan struct{}     // capacity 1

	mu    sync.Mutex
	tails map[string]*tail // by instance
	paths map[string]*tail // by output file
	words []platform.NodeLogLine
}

// unshipped is the file of an ended instance.
type unshipped struct {
	Spec   platform.InstanceSpec `json:"spec"`
	Output string                `json:"output"`
}

func newShipper(log *slog.Logger, l *link, dir string, forget func(id string) error) (*shipper, error) {
	s := &shipper{
		log: log, link: l, dir: dir, forget: forget, kick: make(chan struct{}, 1),
		tails: make(map[string]*tail), paths: make(map[string]*tail),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.watcher, err = fsnotify.NewWatcher(); err != nil {
		log.Warn("output is looked at every second: the machine has no inotify instance left", "err", err)
		s.watcher = nil
	}
	return s, nil
}

func (s *shipper) close() {
	if s.watcher != nil {
		_ = s.watcher.Close()
	}
}

// reclaim takes up what an earlier node has not shipped. The output of an
// instance that runs, or is about to run again, is followed anyway.
func (s *shipper) reclaim(wanted func(id string) bool) {
	files, _ := os.ReadDir(s.dir)
	for _, file := range files {
		path := filepath.Join(s.dir, file.Name())
		data, err := os.ReadFile(path)
		var u unshipped
		if err != nil || json.Unmarshal(data, &u) != nil || strings.HasSuffix(path, ".tmp") {
			_ = os.Remove(path)
			continue
		}
		if wanted(u.Spec.ID) {
			_ = os.Remove(path)
			continue
		}
		s.follow(u.Spec, u.Output)
		s.finish(u.Spec.ID)
	}
}

// follow ships what an instance prints to the file from now on. Following it
// again after a restart goes on where it was.
func (s *shipper) follow(spec platform.InstanceSpec, output string) {
	if output == "" {
		return
	}
	spec.Spec = platform.Spec{}
	s.mu.Lock()
	t := s.tails[spec.ID]
	if t == nil || t.path != output {
		t = &tail{spec: spec, path: output, offset: -1}
		s.tails[spec.ID], s.paths[output] = t, t
	}
	t.finished, t.dirty, t.last = false, true, ""
	s.mu.Unlock()
	if s.watcher != nil {
		if err := s.watcher.Add(output); err != nil {
			s.log.Warn("output cannot be watched", "app", spec.App, "instance", spec.ID, "err", err)
		}
	}
	nudge(s.kick)
}

// finish says that nothing more is printed; when all is stored, the output is
// forgotten.
func (s *shipper) finish(id string) {
	s.mu.Lock()
	t := s.tails[id]
	if t != nil {
		t.finished, t.dirty = true, true
	}
	s.mu.Unlock()
	if t == nil {
		_ = s.forget(id)
		return
	}
	data, err := json.Marshal(unshipped{t.spec, t.path})
	if err == nil {
		path := filepath.Join(s.dir, id)
		if err = os.WriteFile(path+".tmp", data, 0o600); err == nil {
			err = os.Rename(path+".tmp", path)
		}
	}
	if err != nil {
		s.log.Warn("output is lost if the node ends before it is stored", "instance", id, "err", err)
	}
	nudge(s.kick)
}

// say puts a line of the node's own into the instance's output, so that it
// stands behind what the instance printed and is kept like it.
func (s *shipper) say(spec platform.InstanceSpec, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tails[spec.ID]; t != nil {
		end, last, err := say(t.path, t.said, text)
		if err == nil {
			t.said, t.last, t.dirty = end, cmp.Or(last, t.last), true
			nudge(s.kick)
			return
		}
		s.log.Warn("line could not be written", "app", spec.App, "instance", spec.ID, "text", text, "err", err)
	}
	if len(s.words) < maxWords {
		s.words = append(s.words, platform.NodeLogLine{LogLine: platform.LogLine{
			At: time.Now(), App: spec.App, Source: platform.LogController, Text: text,
		}})
		nudge(s.kick)
	}
}

// tell ships a line that is no instance's, and reports false when too many wait.
func (s *shipper) tell(line platform.NodeLogLine) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.words) >= maxWords {
		return false
	}
	s.words = append(s.words, line)
	nudge(s.kick)
	return true
}

// lastLine returns the last line that a copy of an instance printed, before or
// after what the node said meanwhile.
func (s *shipper) lastLine(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tails[id]; t != nil {
		return cmp.Or(lastLine(t.path, t.said), t.last)
	}
	return ""
}

// run ships until ctx ends. Nothing happens while nobody prints.
func (s *shipper) run(ctx context.Context) {
	s.resume()
	var watching sync.WaitGroup
	watching.Go(func() { s.watch(ctx) })
	defer watching.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		}
		more, err := s.ship(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.resume()
			s.shorten()
			sleep(ctx, retryPause)
		case more:
			nudge(s.kick)
		default:
			sleep(ctx, shipPause)
		}
	}
}

// watch marks the outputs that were written to.
func (s *shipper) watch(ctx context.Context) {
	if s.watcher == nil {
		for sleep(ctx, time.Second) {
			s.markAll()
		}
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-s.watcher.Events:
			if !open {
				return
			}
			if event.Has(fsnotify.Write) {
				s.mark(event.Name)
			}
		case _, open := <-s.watcher.Errors:
			if !open {
				return
			}
			s.markAll() // events were lost
		}
	}
}

func (s *shipper) mark(path string) {
	s.mu.Lock()
	if t := s.paths[path]; t != nil {
		t.dirty = true
	}
	s.mu.Unlock()
	nudge(s.kick)
}

func (s *shipper) markAll() {
	s.mu.Lock()
	for _, t := range s.tails {
		t.dirty = true
	}
	s.mu.Unlock()
	nudge(s.kick)
}

// resume makes the control plane's cursors be asked for again.
func (s *shipper) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tails {
		t.offset, t.dirty = -1, true
	}
	if len(s.tails) > 0 {
		nudge(s.kick)
	}
}

// shorten bounds what waits for the control plane.
func (s *shipper) shorten() {
	for _, t := range s.pick() {
		if err := t.shorten(); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("backlog of output could not be shortened", "app", t.spec.App, "instance", t.spec.ID, "err", err)
		}
		s.mu.Lock()
		t.dirty = true
		s.mu.Unlock()
	}
}

// pick returns the tails that may have something, and marks them clean: what
// is written from now on marks them again.
func (s *shipper) pick() []*tail {
	s.mu.Lock()
	defer s.mu.Unlock()
	var picked []*tail
	for _, t := range s.tails {
		if t.dirty {
			t.dirty = false
			picked = append(picked, t)
		}
	}
	return picked
}

// ship sends one batch. more is true when there is more to send at once.
func (s *shipper) ship(ctx context.Context) (more bool, err error) {
	picked := s.pick()
	if err := s.locate(ctx, picked); err != nil {
		return false, err
	}
	s.mu.Lock()
	lines := s.words
	s.words = nil
	said := len(lines)
	s.mu.Unlock()
	ends := make(map[*tail]int64)
	var done []*tail
	size := 0
	for _, t := range picked {
		if size > maxBatch {
			s.again(t)
			more = true
			continue
		}
		s.mu.Lock()
		finished := t.finished
		s.mu.Unlock()
		got, end, rest, err := t.read(finished)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("output could not be read", "app", t.spec.App, "instance", t.spec.ID, "err", err)
		}
		size += int(end - t.offset)
		lines = append(lines, got...)
		ends[t] = end
		if rest {
			s.again(t)
			more = true
		} else if finished {
			done = append(done, t)
		}
	}
	if len(lines) > 0 {
		if err := s.link.logs(ctx, lines); err != nil {
			s.mu.Lock()
			s.words = append(lines[:said:said], s.words...)
			s.mu.Unlock()
			return false, err
		}
	}
	for t, end := range ends {
		t.offset = end
		if err := t.punch(); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Debug("stored output could not be given back", "instance", t.spec.ID, "err", err)
		}
	}
	for _, t := range done {
		s.drop(t)
	}
	return more, nil
}

func (s *shipper) again(t *tail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.dirty = true
}

// locate asks the control plane where to go on.
func (s *shipper) locate(ctx context.Context, tails []*tail) error {
	var ids []string
	for _, t := range tails {
		if t.offset < 0 {
			ids = append(ids, t.spec.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	cursors, err := s.link.cursors(ctx, ids)
	if err != nil {
		return err
	}
	for _, t := range tails {
		if t.offset < 0 {
			t.offset = cursors[t.spec.ID]
		}
	}
	return nil
}

// keep takes a finish back: the instance is about to run again.
func (s *shipper) keep(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tails[id]; t != nil {
		t.finished = false
	}
	_ = os.Remove(filepath.Join(s.dir, id))
}

// forgetUnknown forgets the output of an instance that ended while no node was
// there and is not wanted any more.
func (s *shipper) forgetUnknown(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tails[id] == nil {
		_ = s.forget(id) // tried again by nobody: a few bytes stay
	}
}

// drop forgets an output that is all stored, unless its instance runs again.
// keep waits for it, so that no new output is forgotten.
func (s *shipper) drop(t *tail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.finished || s.tails[t.spec.ID] != t {
		return
	}
	delete(s.tails, t.spec.ID)
	delete(s.paths, t.path)
	if s.watcher != nil {
		_ = s.watcher.Remove(t.path)
	}
	if err := s.forget(t.spec.ID); err != nil {
		s.log.Warn("output could not be forgotten", "app", t.spec.App, "instance", t.spec.ID, "err", err)
	}
	_ = os.Remove(filepath.Join(s.dir, t.spec.ID))
}
