package node

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-paas/slipway/internal/keep"
	"github.com/slipway-paas/slipway/internal/platform"
)

// format is the layout of the node's directory: since 2, state.json tells the
// version, edge.json and one file an app and a certificate the rest, so that a change costs the
// same with one app and with ten thousand; the secrets in them are sealed.
const format = 2

// state is what this machine shall do, as last heard. Version 0 is that of a
// state that may lack something: what is not in it may be wanted.
type state struct {
	Format  int                          `json:"format"`
	Epoch   string                       `json:"epoch"`
	Version int64                        `json:"version"`
	Edge    platform.EdgeState           `json:"edge"`
	Apps    map[string]platform.AppState `json:"apps"`
	// Refused are the apps, and the certificates by certificateMark and name, that
	// are not as the control plane said last: see sift.
	Refused map[string]platform.Refusal `json:"-"`
	// Certificates by name; Edge may have others, of a control plane that tells
	// them in one list.
	Certificates map[string]platform.EdgeCertificate `json:"-"`
}

// merge returns the state after news, and which apps differ: those that go come
// last, so that a host that one of them hands over is never nobody's.
func (s state) merge(news platform.NodeState, epoch string) (next state, changed []string) {
	next = state{Format: format, Epoch: epoch, Version: news.Version, Edge: s.Edge, Apps: maps.Clone(s.Apps), Certificates: s.certificatesAfter(news)}
	if next.Apps == nil {
		next.Apps = make(map[string]platform.AppState)
	}
	if news.Edge != nil {
		next.Edge = *news.Edge
	}
	named := make(map[string]bool)
	for _, app := range news.Apps {
		named[app.App] = true
		next.Apps[app.App] = remembering(app, s.Apps[app.App])
		changed = append(changed, app.App)
	}
	if news.Full {
		for _, id := range news.Kept {
			named[id] = true
		}
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

// stateFile keeps the last good state. An app's file is written before the
// version that tells of it, and so is a certificate's: a node that died in between asks for it again.
// After a power cut the files may be of different moments: they serve, and
// everything is asked for.
type stateFile struct {
	log   *slog.Logger
	files *keep.Folder
	seals keep.Sealer
	boot  string

	// unsaved are files that are not as the state is: by app, by certificateMark
	// and a certificate's name, or edgeFile.
	unsaved map[string]bool
	sealed  string // the key it is sealed under
	// shut says why secrets could not be opened; empty: they could.
	shut string
}

const (
	headFile   = "state.json"
	formerFile = "settled.json" // of format 1: the twin of state.json
	edgeFile   = "edge.json"
)

func appFile(id string) string { return filepath.Join("apps", id+".json") }

// head is state.json. Edge and Apps are in it up to format 1.
type head struct {
	Format  int                          `json:"format"`
	Epoch   string                       `json:"epoch"`
	Version int64                        `json:"version"`
	Boot    string                       `json:"boot,omitempty"`
	Edge    *platform.EdgeState          `json:"edge,omitempty"`
	Apps    map[string]platform.AppState `json:"apps,omitempty"`
}

func openStateFile(log *slog.Logger, dir string, seals keep.Sealer) (*stateFile, error) {
	files, err := keep.Open(log, dir, true)
	if err != nil {
		return nil, err
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return &stateFile{
		log: log, files: files, seals: seals, boot: strings.TrimSpace(string(boot)), unsaved: make(map[string]bool),
		sealed: seals.Key(),
	}, nil
}

// followKeys keeps everything anew when there is a newer key, and reports
// whether there was.
func (f *stateFile) followKeys(s state) (newer bool) {
	key := f.seals.Key()
	if key == f.sealed {
		return false
	}
	f.unsaved[edgeFile] = true
	for id := range s.Apps {
		f.unsaved[id] = true
	}
	for name := range s.Certificates {
		f.unsaved[certificateMark+name] = true
	}
	if err := f.write(s); err != nil {
		f.log.Warn("secrets of the last state stay as they were sealed", "err", err)
		return false
	}
	f.sealed = key
	return true
}

func (f *stateFile) close() { f.files.Close() }

// load returns the newest state there is; an empty one when there is none. It
// writes nothing: another node may be in office.
func (f *stateFile) load() (state, error) {
	f.shut = ""
	clear(f.unsaved)
	var h head
	found, whole, err := f.get(headFile, &h)
	if err == nil && !found {
		found, _, err = f.get(formerFile, &h)
	}
	switch {
	case err != nil:
		return state{}, err
	case h.Format > format:
		return state{}, fmt.Errorf("%s has format %d and this node reads up to %d: run the newer Slipway that wrote it, or give the node an empty --state: %w",
			f.files.Path(headFile), h.Format, format, platform.ErrConflict)
	case found && h.Format < format:
		return f.former(h), nil
	}
	s := state{Format: format, Epoch: h.Epoch, Version: h.Version, Apps: make(map[string]platform.AppState)}
	edge, apps, certificates := f.loadEdge(&s), f.loadApps(&s), f.loadCertificates(&s)
	if !edge || !apps || !certificates || !whole || h.Boot != f.boot {
		s.Version = 0
	}
	return s, nil
}

// former is the state of a node of format 1, to be kept anew.
func (f *stateFile) former(h head) state {
	s := state{Format: format, Epoch: h.Epoch, Version: h.Version, Apps: h.Apps}
	if h.Edge != nil {
		s.Edge = *h.Edge
	}
	f.unsaved[edgeFile] = true
	for id := range s.Apps {
		f.unsaved[id] = true
	}
	return s
}

// get reads a file. One that makes no sense is logged, and not whole; found
// then says that its twin stood in.
func (f *stateFile) get(name string, v any) (found, whole bool, err error) {
	err = f.files.Get(name, v)
	switch {
	case err == nil:
		return true, true, nil
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, keep.ErrDamaged):
		return false, true, nil
	case errors.Is(err, keep.ErrDamaged):
		f.log.Error("last state was unreadable", "file", f.files.Path(name), "err", err)
		h, isHead := v.(*head)
		return isHead && h.Format > 0, false, nil
	}
	return false, false, err
}

func (f *stateFile) loadEdge(s *state) (whole bool) {
	_, whole, err := f.get(edgeFile, &s.Edge)
	if err != nil {
		f.log.Error("last state was unreadable", "file", f.files.Path(edgeFile), "err", err)
		return false
	}
	opened, stale, err := f.seals.OpenEdge(s.Edge)
	s.Edge = opened
	return f.opened(edgeFile, stale, err) && whole
}

func (f *stateFile) loadApps(s *state) (whole bool) {
	ids, err := f.files.List("apps")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Error("last state was unreadable", "file", f.files.Path("apps"), "err", err)
		return false
	}
	whole = true
	for _, id := range ids {
		var app platform.AppState
		_, one, err := f.get(appFile(id), &app)
		if err != nil || app.App != id {
			f.log.Error("last state was unreadable", "file", f.files.Path(appFile(id)), "err", err)
			whole = false
			continue
		}
		opened, stale, err := f.seals.OpenApp(app)
		s.Apps[id] = opened
		whole = f.opened(id, stale, err) && one && whole
	}
	return whole
}

// opened takes note of how the opening of a file's secrets went.
func (f *stateFile) opened(name string, stale bool, err error) bool {
	if stale {
		f.unsaved[name] = true
	}
	if err != nil {
		if f.shut == "" {
			f.log.Error("secrets of the last state could not be opened", "err", err)
		}
		f.shut = "the node could not open the secrets it keeps; what runs goes on, and the rest is asked for: " + err.Error()
	}
	return err == nil
}

// reseal writes what load found in the clear, or under an older key.
func (f *stateFile) reseal(s state) error {
	if len(f.unsaved) == 0 {
		return nil
	}
	return f.write(s)
}

// save keeps next, which came of old by news. When it fails, what is on the
// disk is older and asks for the same news again.
func (f *stateFile) save(old, next state, news platform.NodeState) error {
	if news.Edge != nil && !platform.Same(old.Edge, next.Edge) {
		f.unsaved[edgeFile] = true
	}
	for _, app := range news.Apps {
		if before, known := old.Apps[app.App]; !known || old.Version == 0 || !platform.Same(before, next.Apps[app.App]) {
			f.unsaved[app.App] = true
		}
	}
	for _, id := range news.Removed {
		f.unsaved[id] = true
	}
	for _, name := range changedCertificates(old, next, news) {
		f.unsaved[certificateMark+name] = true
	}
	if news.Full { // files may be there that the memory knows nothing of
		f.sweepCertificates(next)
		ids, _ := f.files.List("apps")
		for _, id := range ids {
			if _, wanted := next.Apps[id]; !wanted {
				f.unsaved[id] = true
			}
		}
	}
	return f.write(next)
}

// keepApps keeps what this machine has found out about some apps.
func (f *stateFile) keepApps(next state, apps []string) error {
	for _, id := range apps {
		f.unsaved[id] = true
	}
	return f.write(next)
}

func (f *stateFile) write(s state) error {
	for _, room := range []string{"apps", certificateDir} {
		if err := os.MkdirAll(f.files.Path(room), 0o700); err != nil {
			return err
		}
	}
	for name := range f.unsaved {
		if err := f.writeOne(s, name); err != nil {
			return err
		}
		delete(f.unsaved, name)
	}
	version := s.Version
	if len(s.Refused) > 0 {
		version = 0 // the next node, which may be able to have them, asks for everything
	}
	if err := f.files.Put(headFile, head{Format: format, Epoch: s.Epoch, Version: version, Boot: f.boot}); err != nil {
		return err
	}
	return f.files.Remove(formerFile)
}

func (f *stateFile) writeOne(s state, name string) error {
	if name == edgeFile {
		return f.files.Put(edgeFile, f.seals.Edge(s.Edge))
	}
	if certificate, is := strings.CutPrefix(name, certificateMark); is {
		return f.writeCertificate(s, certificate)
	}
	app, wanted := s.Apps[name]
	if !wanted {
		return f.files.Remove(appFile(name))
	}
	return f.files.Put(appFile(name), f.seals.App(app))
}
