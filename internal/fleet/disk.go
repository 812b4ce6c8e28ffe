package fleet

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/slipway-paas/slipway/internal/keep"
	"github.com/slipway-paas/slipway/internal/platform"
)

// format is the layout of the directory: meta.json, edge.json and one file an
// app and a certificate, so that a change costs the same with one app and with ten thousand.
// Since 2 the secrets in it are sealed.
const format = 2

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
	log          *slog.Logger
	files        *keep.Folder
	seals        keep.Sealer
	meta         meta
	fresh        bool // this epoch began with this process
	edge         *edgeRecord
	records      []record            // as loaded
	certificates []certificateRecord // as loaded
	stale        []record            // of records, those to be sealed anew
	lost         []string            // apps whose files made no sense
	// shut are files whose secrets cannot be opened, and why the last cannot.
	shut    int
	shutFor error
}

const (
	metaFile = "meta.json"
	edgeFile = "edge.json"
)

func appFile(id string) string { return filepath.Join("apps", id+".json") }

func openDisk(log *slog.Logger, dir string, seals keep.Sealer) (*disk, error) {
	if err := os.MkdirAll(filepath.Join(dir, "apps"), 0o700); err != nil {
		return nil, err
	}
	files, err := keep.Open(log, dir, false)
	if err != nil {
		return nil, err
	}
	d := &disk{log: log, files: files, seals: seals}
	if err := d.begin(); err != nil {
		files.Close()
		return nil, err
	}
	return d, nil
}

func (d *disk) begin() error {
	whole, err := d.load()
	if err != nil {
		return err
	}
	if !whole || d.meta.Epoch == "" {
		d.fresh = true
		d.meta = meta{Epoch: rand.Text(), Floor: d.meta.Floor}
	}
	d.meta.Format = format
	d.forgetRemoved()
	d.forgetCertificates()
	if err := d.files.Put(metaFile, d.meta); err != nil {
		return err
	}
	for _, r := range d.stale {
		if err := d.putApp(r); err != nil {
			return err
		}
	}
	d.stale = nil
	return nil
}

// load reads every file and reports whether all of them made sense.
func (d *disk) load() (whole bool, err error) {
	whole, err = d.get(metaFile, &d.meta)
	if err != nil {
		return false, err
	}
	if d.meta.Format > format {
		return false, fmt.Errorf("it has format %d and this Slipway reads up to %d: run the newer Slipway that wrote it, or restore a backup: %w",
			d.meta.Format, format, platform.ErrConflict)
	}
	ok, err := d.loadEdge()
	if err != nil {
		return false, err
	}
	whole = whole && ok
	if ok, err = d.loadCertificates(); err != nil {
		return false, err
	}
	whole = whole && ok
	ids, err := d.files.List("apps")
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		ok, err := d.loadApp(id)
		if err != nil {
			return false, err
		}
		if !ok {
			d.lost = append(d.lost, id)
			whole = false
		}
	}
	if d.shut > 0 {
		d.log.Error("state files could not be opened and were set aside", "files", d.shut, "err", d.shutFor)
	}
	return whole, nil
}

func (d *disk) loadEdge() (ok bool, err error) {
	var edge edgeRecord
	if ok, err = d.get(edgeFile, &edge); !ok || err != nil || edge.Version == 0 {
		return ok, err
	}
	opened, stale, err := d.seals.OpenEdge(edge.Edge)
	if err != nil {
		return false, d.setAside(edgeFile, err)
	}
	d.edge = &edgeRecord{edge.Version, opened}
	if stale {
		return true, d.putEdge(*d.edge)
	}
	return true, nil
}

func (d *disk) loadApp(id string) (ok bool, err error) {
	var r record
	if ok, err = d.get(appFile(id), &r); !ok || err != nil {
		return ok, err
	}
	if r.State.App != id {
		return false, nil
	}
	opened, stale, err := d.seals.OpenApp(r.State)
	if err != nil {
		return false, d.setAside(appFile(id), err)
	}
	r.State = opened
	d.records = append(d.records, r)
	if stale {
		d.stale = append(d.stale, r)
	}
	return true, nil
}

// setAside puts a file away whose secrets cannot be opened: it is as good as
// lost, and whoever has the key may look.
func (d *disk) setAside(name string, why error) error {
	d.shut++
	d.shutFor = why
	return d.files.SetAside(name)
}

// get reads a file into v. A file that is not there leaves v as it is; one
// that makes no sense is set aside.
func (d *disk) get(name string, v any) (ok bool, err error) {
	err = d.files.Get(name, v)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case errors.Is(err, keep.ErrDamaged):
		d.log.Error("state file was unreadable and set aside", "file", d.files.Path(name), "err", err)
		return false, d.files.SetAside(name)
	}
	return err == nil, err
}

func (d *disk) putApp(r record) error {
	r.State = d.seals.App(r.State)
	return d.files.Put(appFile(r.State.App), r)
}

func (d *disk) putEdge(r edgeRecord) error {
	r.Edge = d.seals.Edge(r.Edge)
	return d.files.Put(edgeFile, r)
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
	forgotten := make(map[string]bool)
	for _, r := range removed[:len(removed)-maxRemoved] {
		d.meta.Floor = max(d.meta.Floor, r.Version)
		forgotten[r.State.App] = true
		_ = d.files.Remove(appFile(r.State.App)) // tried again at the next start
	}
	d.records = slices.DeleteFunc(d.records, func(o record) bool { return forgotten[o.State.App] })
}

// problems says in words what was lost, and the cure.
func (d *disk) problems() []string {
	if d.shut == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d files of %s could not be opened when the control plane started and were set aside; "+
		"the apps go on and are asked for anew: %v", d.shut, d.files.Path("."), d.shutFor)}
}
