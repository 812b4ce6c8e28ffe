package logs

import (
	"bytes"
	"cmp"
	"container/list"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/slipway-paas/slipway/internal/platform"
)

// maxCursors is how many instances' cursors a stream remembers; beyond twice
// that, those that have been silent longest are forgotten.
const maxCursors = 1024

// stream is one app's. At rest it is a name, a few cursors and nothing open.
type stream struct {
	app     string
	dir     string
	options Options
	segment int64 // bytes at which the next segment begins
	disk    *disk

	place *list.Element // among the residents; guarded by Logs.mu

	mu     sync.Mutex
	gone   bool // removed or closed: drop what comes
	moved  bool // and gone; what comes belongs to another stream
	file   *os.File
	active segment // the file's
	// cursors by instance; nil until asked for. seen orders them by age.
	cursors map[string]cursor
	seen    int64
	// ring is nil until somebody looks.
	ring *ring
	// unkept is how many lines from now on the ring may still hold one that
	// the disk does not.
	unkept    int
	followers map[*follower]struct{}
}

type cursor struct{ offset, seen int64 }

func newStream(app string, options Options, disk *disk) *stream {
	return &stream{
		app: app, dir: filepath.Join(options.Dir, app), options: options, disk: disk,
		segment:   max(1, min(options.BytesPerApp/8, 4<<20)),
		followers: make(map[*follower]struct{}),
	}
}

// append writes the records that are new, then shows them to the ring and the
// followers. It reports false when they belong to another stream by now.
func (s *stream) append(records []record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return !s.moved
	}
	records = s.fresh(records)
	if len(records) == 0 {
		return true
	}
	inRing := 0 // of the records, by being read back from disk
	if kept, err := s.write(records); err != nil {
		s.disk.failed(len(records)-kept, err)
		if s.ring == nil {
			s.load()
			inRing = kept
		}
		s.unkept = s.options.Ring
	} else {
		s.disk.wrote()
		s.unkept = max(0, s.unkept-len(records))
	}
	s.show(records, inRing)
	return true
}

// show hands records to the followers and, but for the first inRing, to the ring.
func (s *stream) show(records []record, inRing int) {
	for i, r := range records {
		if s.ring != nil && i >= inRing {
			s.ring.push(r.line)
		}
		for f := range s.followers {
			f.push(r.line)
		}
	}
}

// fresh drops the duplicates and moves the cursors.
func (s *stream) fresh(records []record) []record {
	fresh := records[:0]
	for _, r := range records {
		if r.offset > 0 && r.line.Instance != "" {
			s.recall()
			if r.offset <= s.cursors[r.line.Instance].offset {
				continue
			}
			s.advance(r.line.Instance, r.offset)
		}
		fresh = append(fresh, r)
	}
	return fresh
}

func (s *stream) advance(instance string, offset int64) {
	s.seen++
	s.cursors[instance] = cursor{offset: offset, seen: s.seen}
	if len(s.cursors) <= 2*maxCursors {
		return
	}
	oldest := slices.SortedFunc(maps.Keys(s.cursors), func(a, b string) int {
		return cmp.Compare(s.cursors[a].seen, s.cursors[b].seen)
	})
	for _, instance := range oldest[:len(oldest)-maxCursors] {
		delete(s.cursors, instance)
	}
}

// write appends records to the active segment, in one write a segment, and
// says how many it kept before an error.
func (s *stream) write(records []record) (kept int, err error) {
	var buffer bytes.Buffer
	for i, r := range records {
		if err := s.open(); err != nil {
			return kept, err
		}
		before := buffer.Len()
		appendRow(&buffer, r.row())
		if s.active.size+int64(buffer.Len()) <= s.segment || s.active.size+int64(before) == 0 {
			continue
		}
		row := bytes.Clone(buffer.Bytes()[before:])
		buffer.Truncate(before)
		if err := s.flush(&buffer); err != nil {
			return kept, err
		}
		kept = i
		if err := s.rotate(); err != nil {
			return kept, err
		}
		buffer.Write(row)
	}
	if err := s.flush(&buffer); err != nil {
		return kept, err
	}
	return len(records), nil
}

// flush writes the buffer whole or not at all.
func (s *stream) flush(buffer *bytes.Buffer) error {
	if buffer.Len() == 0 {
		return nil
	}
	n, err := s.file.Write(buffer.Bytes())
	if err != nil {
		if n > 0 {
			// If this fails too, the torn line is cut off by the next open.
			_ = s.file.Truncate(s.active.size)
		}
		return errors.Join(err, s.closeFile())
	}
	s.active.size += int64(n)
	buffer.Reset()
	return nil
}

// open makes the newest segment ready to be appended to. What a crash left of
// a last line is cut off: its sender still has it.
func (s *stream) open() error {
	if s.file != nil {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	all, err := segments(s.dir)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return s.begin(1)
	}
	newest := all[len(all)-1]
	file, err := os.OpenFile(newest.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if whole := int64(bytes.LastIndexByte(newest.read(), '\n') + 1); whole < newest.size {
		if err := file.Truncate(whole); err != nil {
			file.Close() // the first error counts
			return err
		}
		newest.size = whole
	}
	s.file, s.active = file, newest
	return nil
}

// rotate begins the next segment and takes away the oldest ones, so that all
// together stay within BytesPerApp when the new one is full.
func (s *stream) rotate() error {
	number := s.active.number + 1
	if err := s.closeFile(); err != nil {
		return err
	}
	all, err := segments(s.dir)
	if err != nil {
		return err
	}
	total := s.segment
	for _, g := range slices.Backward(all) {
		if total += g.size; total > s.options.BytesPerApp {
			_ = os.Remove(g.path) // tried again at the next rotation
		}
	}
	return s.begin(number)
}

// begin makes a segment that starts with all cursors. It gets its name when
// those are in it, for a segment hides the cursors before it.
func (s *stream) begin(number int) error {
	s.recall()
	offsets := make(map[string]int64, len(s.cursors))
	for instance, c := range s.cursors {
		offsets[instance] = c.offset
	}
	var header bytes.Buffer
	appendRow(&header, row{Cursors: offsets})

	path := segmentPath(s.dir, number)
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(header.Bytes())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		_ = os.Remove(path + ".new")
		return errors.Join(err, file.Close())
	}
	s.file, s.active = file, segment{number: number, path: path, size: int64(header.Len())}
	return nil
}

// recall reads the cursors, once: from the newest segment back to the first
// that begins with a header, which nearly always is the same.
func (s *stream) recall() {
	if s.cursors != nil {
		return
	}
	s.cursors = make(map[string]cursor)
	s.seen = 1
	all, _ := segments(s.dir) // unreadable: no line to be a duplicate of
	for _, g := range slices.Backward(all) {
		for r := range g.backward() {
			s.remember(r)
			if r.Cursors != nil {
				return
			}
		}
	}
}

// remember takes the cursors of a row that is older than all rows before.
func (s *stream) remember(r row) {
	if _, found := s.cursors[r.Instance]; !found && r.Offset > 0 {
		s.cursors[r.Instance] = cursor{offset: r.Offset, seen: 1}
	}
	for instance, offset := range r.Cursors {
		if _, found := s.cursors[instance]; !found {
			s.cursors[instance] = cursor{offset: offset}
		}
	}
}

func (s *stream) cursor(instance string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recall()
	return s.cursors[instance].offset
}

// load fills the ring from disk, once.
func (s *stream) load() {
	if s.ring != nil {
		return
	}
	s.ring = newRing(s.options.Ring, s.options.RingBytes)
	lines, whole := s.history(s.options.Ring, s.options.RingBytes, Filter{})()
	for _, line := range lines {
		s.ring.push(line)
	}
	s.ring.whole = s.ring.whole && whole
}

// rest closes the file and lets go of the ring, unless it is being watched or
// holds what the disk does not.
func (s *stream) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.closeFile() // every write has told its own error
	if len(s.followers) == 0 && s.unkept == 0 {
		s.ring = nil
	}
}

func (s *stream) closeFile() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

func (s *stream) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end()
}

// remove ends the stream and moves its directory out of the way to trash.
func (s *stream) remove(trash string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.end()
	if moved := os.Rename(s.dir, trash); moved != nil && !errors.Is(moved, os.ErrNotExist) {
		return errors.Join(err, moved)
	}
	return err
}

func (s *stream) end() error {
	s.gone = true
	s.ring = nil
	for f := range s.followers {
		f.end()
	}
	clear(s.followers)
	return s.closeFile()
}

// history prepares to read from disk the newest n matching lines of at most
// size bytes, up to those written by now. The function it returns may be
// called without the lock; it tells whether there is nothing older.
func (s *stream) history(n, size int, filter Filter) func() ([]platform.LogLine, bool) {
	all, _ := segments(s.dir) // unreadable: nothing to show
	app := s.app
	return func() ([]platform.LogLine, bool) {
		var found []platform.LogLine
		for _, g := range slices.Backward(all) {
			for r := range g.backward() {
				if r.Cursors != nil {
					continue
				}
				if len(found) == n || size <= 0 {
					return reversed(found), false
				}
				if line := r.line(app); filter.match(line) {
					found = append(found, line)
					size -= weight(line)
				}
			}
		}
		return reversed(found), true
	}
}

func reversed(lines []platform.LogLine) []platform.LogLine {
	slices.Reverse(lines)
	return lines
}
