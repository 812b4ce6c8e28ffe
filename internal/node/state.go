package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// format is the layout of the node's directory.
const format = 1

// state is what this machine shall do, as last heard.
type state struct {
	Format  int                          `json:"format"`
	Epoch   string                       `json:"epoch"`
	Version int64                        `json:"version"`
	Edge    platform.EdgeState           `json:"edge"`
	Apps    map[string]platform.AppState `json:"apps"`
}

// merge returns the state after news, and which apps differ: those that go come
// last, so that a host that one of them hands over is never nobody's.
func (s state) merge(news platform.NodeState, epoch string) (next state, changed []string) {
	next = state{Format: format, Epoch: epoch, Version: news.Version, Edge: s.Edge, Apps: maps.Clone(s.Apps)}
	if next.Apps == nil {
		next.Apps = make(map[string]platform.AppState)
	}
	if news.Edge != nil {
		next.Edge = *news.Edge
	}
	named := make(map[string]bool)
	for _, app := range news.Apps {
		named[app.App] = true
		next.Apps[app.App] = app
		changed = append(changed, app.App)
	}
	if news.Full {
		for id := range s.Apps {
			if !named[id] {
				delete(next.Apps, id)
				changed = append(changed, id)
			}
		}
	}
	for _, id := range news.Removed {
		delete(next.Apps, id)
		changed = append(changed, id)
	}
	return next, changed
}

// lag is how far settled.json stays behind.
const lag = 250 * time.Millisecond

// stateFile keeps the last good state. Two files take turns at being the one
// that certainly is on the disk: state.json is replaced at every change and
// survives kill -9 at once; settled.json is a copy that was forced to the disk
// before it got its name, for a power cut that leaves state.json empty.
type stateFile struct {
	log   *slog.Logger
	dir   string
	dirty chan struct{} // capacity 1
	stop  chan struct{}
	done  chan struct{}
}

func openStateFile(log *slog.Logger, dir string) *stateFile {
	f := &stateFile{log: log, dir: dir, dirty: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go f.settle()
	return f
}

// load returns the newest state that is whole; an empty one when there is none.
func (f *stateFile) load() (state, error) {
	for _, name := range []string{"state.json", "settled.json"} {
		var s state
		data, err := os.ReadFile(filepath.Join(f.dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(data, &s)
		}
		switch {
		case err != nil:
			f.log.Error("last state was unreadable", "file", filepath.Join(f.dir, name), "err", err)
		case s.Format > format:
			return state{}, fmt.Errorf("%s has format %d and this node reads up to %d: run the newer Slipway that wrote it, or give the node an empty --state: %w",
				filepath.Join(f.dir, name), s.Format, format, platform.ErrConflict)
		default:
			return s, nil
		}
	}
	return state{Format: format}, nil
}

// save replaces the state; when it fails the last good one is still there.
func (f *stateFile) save(s state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(f.dir, "state.json")
	if err := os.WriteFile(path+".tmp", data, 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	select {
	case f.dirty <- struct{}{}:
	default:
	}
	return nil
}

// settle makes settled.json a copy of state.json, behind the changes.
func (f *stateFile) settle() {
	defer close(f.done)
	for {
		select {
		case <-f.stop:
			return
		case <-f.dirty:
		}
		select {
		case <-f.stop:
			return
		case <-time.After(lag): // not in the way of the next change
		}
		if err := f.copySettled(); err != nil {
			f.log.Warn("last state did not reach the disk", "dir", f.dir, "err", err)
		}
	}
}

func (f *stateFile) copySettled() error {
	data, err := os.ReadFile(filepath.Join(f.dir, "state.json"))
	if err != nil {
		return err
	}
	path := filepath.Join(f.dir, "settled.json")
	file, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func (f *stateFile) close() {
	close(f.stop)
	<-f.done
}
