package fleet

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// format is the layout of the directory: meta.json, edge.json and one file an
// app, so that a change costs the same with one app and with ten thousand.
const format = 1

// maxRemoved bounds how many removed apps are remembered; a node that has not
// asked since a forgotten one gets everything.
const maxRemoved = 1000

type meta struct {
	Format int    `json:"format"`
	Epoch  string `json:"epoch"` // another epoch's versions mean nothing here
	Floor  int64  `json:"floor"`
}

type edgeRecord struct {
	Version int64              `json:"version"`
	Edge    platform.EdgeState `json:"edge"`
}

// record is an app's file.
type record struct {
	Version int64             `json:"version"` // of the last change a node must hear of
	State   platform.AppState `json:"state"`
	Doomed  []string          `json:"doomed,omitempty"`
	// Leaving are no longer wanted, and may still be on a node.
	Leaving []platform.InstanceSpec `json:"leaving,omitempty"`
	Removed bool                    `json:"removed,omitempty"`
}

type disk struct {
	log     *slog.Logger
	dir     string
	meta    meta
	fresh   bool // this epoch began with this process
	edge    *edgeRecord
	records []record // as loaded

	mu    sync.Mutex
	dirty map[string]bool // written, not yet forced to the disk
	kick  chan struct{}   // capacity 1: something is dirty
	stop  chan struct{}
	once  sync.Once // closes stop
	done  chan struct{}
}

func appFile(id string) string { return filepath.Join("apps", id+".json") }

func openDisk(log *slog.Logger, dir string) (*disk, error) {
	if err := os.MkdirAll(filepath.Join(dir, "apps"), 0o700); err != nil {
		return nil, err
	}
	d := &disk{
		log: log, dir: dir, dirty: make(map[string]bool),
		kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	whole, err := d.load()
	if err != nil {
		return nil, err
	}
	if !whole || d.meta.Epoch == "" {
		d.fresh = true
		d.meta = meta{Format: format, Epoch: rand.Text(), Floor: d.meta.Floor}
	}
	d.forgetRemoved()
	if err := d.put("meta.json", d.meta); err != nil {
		return nil, err
	}
	go d.sync()
	return d, nil
}

// load reads every file and reports whether all of them made sense.
func (d *disk) load() (whole bool, err error) {
	whole, err = d.get("meta.json", &d.meta)
	if err != nil {
		return false, err
	}
	if d.meta.Format > format {
		return false, fmt.Errorf("it has format %d and this Slipway reads up to %d: run the newer Slipway that wrote it, or restore a backup: %w",
			d.meta.Format, format, platform.ErrConflict)
	}
	var edge edgeRecord
	ok, err := d.get("edge.json", &edge)
	if err != nil {
		return false, err
	}
	whole = whole && ok
	if ok && edge.Version > 0 {
		d.edge = &edge
	}
	files, err := os.ReadDir(filepath.Join(d.dir, "apps"))
	if err != nil {
		return false, err
	}
	for _, file := range files {
		id, isApp := strings.CutSuffix(file.Name(), ".json")
		if !isApp {
			continue // a write that a crash cut short, or one set aside
		}
		var r record
		ok, err := d.get(appFile(id), &r)
		if err != nil {
			return false, err
		}
		if !ok || r.State.App != id {
			whole = false
			continue
		}
		d.records = append(d.records, r)
	}
	return whole, nil
}

// get reads a file into v. A file that is not there leaves v as it is; one
// that makes no sense is set aside.
func (d *disk) get(name string, v any) (ok bool, err error) {
	path := filepath.Join(d.dir, name)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		d.log.Error("state file was unreadable and set aside", "file", path, "err", err)
		return false, os.Rename(path, path+".unreadable")
	}
	return true, nil
}

func (d *disk) forgetRemoved() {
	var removed []record
	for _, r := range d.records {
		if r.Removed {
			removed = append(removed, r)
		}
	}
	if len(removed) <= maxRemoved {
		return
	}
	slices.SortFunc(removed, func(a, b record) int { return int(a.Version - b.Version) })
	for _, r := range removed[:len(removed)-maxRemoved] {
		d.meta.Floor = max(d.meta.Floor, r.Version)
		_ = os.Remove(filepath.Join(d.dir, appFile(r.State.App))) // tried again at the next start
		d.records = slices.DeleteFunc(d.records, func(o record) bool { return o.State.App == r.State.App })
	}
}

// put replaces a file whole: after a crash it is the old one or the new one.
func (d *disk) put(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path+".tmp", data, 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	d.mu.Lock()
	d.dirty[name] = true
	d.mu.Unlock()
	select {
	case d.kick <- struct{}{}:
	default:
	}
	return nil
}

// lag is how far the disk stays behind: forcing a file holds up whoever writes
// the next one, and a deploy makes several changes in a row.
const lag = 250 * time.Millisecond

// sync forces what was written to the disk, behind the writers.
func (d *disk) sync() {
	defer close(d.done)
	defer d.flush()
	for {
		select {
		case <-d.kick:
		case <-d.stop:
			return
		}
		select {
		case <-time.After(lag):
			d.flush()
		case <-d.stop:
			return
		}
	}
}

func (d *disk) flush() {
	d.mu.Lock()
	names := d.dirty
	d.dirty = make(map[string]bool)
	d.mu.Unlock()
	folders := make(map[string]bool)
	for name := range names {
		path := filepath.Join(d.dir, name)
		d.force(path)
		folders[filepath.Dir(path)] = true
	}
	for folder := range folders {
		d.force(folder)
	}
}

func (d *disk) force(path string) {
	file, err := os.Open(path)
	if err != nil {
		return // replaced or removed since: its writer asked again
	}
	defer file.Close()
	if err := file.Sync(); err != nil {
		d.log.Warn("state file did not reach the disk", "file", path, "err", err)
	}
}

func (d *disk) close() {
	d.once.Do(func() { close(d.stop) })
	<-d.done
}
