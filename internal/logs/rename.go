package logs

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Rename gives an app's lines to another id, and with them what comes under the
// old one until that is removed. Followers of either end. Renaming again what
// was renamed changes nothing; renaming back brings the lines back. After a
// restart the caller says it once more while instances of the old id run.
func (l *Logs) Rename(old, id string) error {
	if err := errors.Join(platform.ValidAppID(old), platform.ValidAppID(id)); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.renamed[old] == id {
		return nil
	}
	err := l.depart(old)
	delete(l.renamed, id)
	l.renamed[old] = id
	late, moved := l.move(old, id)
	if err = errors.Join(err, moved); err != nil {
		delete(l.renamed, old)
		return fmt.Errorf("logs of %s: %w", old, err)
	}
	if len(late) > 0 {
		s := newStream(id, l.options, l.disk)
		l.streams[id] = s
		s.append(late)
	}
	return nil
}

// depart ends an app's stream, so that who has it in hand looks for the one
// its lines belong to. The caller holds mu.
func (l *Logs) depart(app string) error {
	s := l.streams[app]
	if s == nil {
		return nil
	}
	delete(l.streams, app)
	l.rest(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = true
	return s.end()
}

// move renames old's directory. What the new id has been told already comes
// back as records, to stand after the history. The caller holds mu.
func (l *Logs) move(old, id string) (late []record, err error) {
	from, to := filepath.Join(l.options.Dir, old), filepath.Join(l.options.Dir, id)
	if _, err := os.Stat(from); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if _, err := os.Stat(to); err == nil {
		if late, err = l.setAside(id); err != nil {
			return nil, err
		}
	}
	return late, os.Rename(from, to)
}

// setAside takes the lines of an app away and returns them.
func (l *Logs) setAside(app string) ([]record, error) {
	err := l.depart(app)
	s := newStream(app, l.options, l.disk)
	lines, _ := s.history(math.MaxInt, math.MaxInt, Filter{})()
	late := make([]record, 0, len(lines))
	for _, line := range lines {
		late = append(late, record{line: line})
	}
	trash := filepath.Join(l.options.Dir, fmt.Sprintf("%s%s-%d", trashPrefix, app, time.Now().UnixNano()))
	return late, errors.Join(err, os.Rename(s.dir, trash), os.RemoveAll(trash))
}
