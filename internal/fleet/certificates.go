package fleet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// certificateRecord is a certificate's file. Each has its own, so that one that
// changes costs the same with ten and with ten thousand.
type certificateRecord struct {
	Version     int64                    `json:"version"`
	Certificate platform.EdgeCertificate `json:"certificate"`
	Removed     bool                     `json:"removed,omitempty"`
}

const certificateDir = "certificates"

// certificateFile is by a hash: names hold what file names cannot.
func certificateFile(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(certificateDir, hex.EncodeToString(sum[:16])+".json")
}

// certificates are what routers show for hosts, by name, guarded by Fleet.mu.
type certificates struct {
	held    map[string]certificateRecord
	changes []change // by version; app is the certificate's name
	told    func(name, chain string, word []byte)
}

// tell says to who staples what a certificate is now.
func (c *certificates) tell(r certificateRecord) {
	switch {
	case c.told == nil || r.Certificate.Challenge != nil:
	case r.Removed:
		c.told(r.Certificate.Name, "", nil)
	default:
		c.told(r.Certificate.Name, r.Certificate.Certificate, r.Certificate.OCSP)
	}
}

// OnCertificates has told hear of every certificate now, and of each that
// changes or goes, then with an empty chain. It must not block, nor ask fleet.
func (f *Fleet) OnCertificates(told func(name, chain string, word []byte)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.certs.told = told
	for _, r := range f.certs.held {
		f.certs.tell(r)
	}
}

// Staple adds a responder's word to a certificate, unless that has another chain
// by now or is gone.
func (f *Fleet) Staple(name, chain string, word []byte) error {
	f.write.Lock()
	defer f.write.Unlock()
	f.mu.Lock()
	r, known := f.certs.held[name]
	f.mu.Unlock()
	if !known || r.Removed || r.Certificate.Certificate != chain {
		return nil
	}
	stapled := r.Certificate
	stapled.OCSP = word
	_, err := f.setCertificates(map[string]*platform.EdgeCertificate{name: &stapled})
	return err
}

// note keeps what nodes ask for at hand, as Fleet.noteChange does.
func (c *certificates) note(r certificateRecord) {
	c.held[r.Certificate.Name] = r
	c.changes = append(c.changes, change{r.Version, r.Certificate.Name})
	if len(c.changes) > 2*len(c.held)+64 {
		c.order()
	}
}

func (c *certificates) order() {
	c.changes = make([]change, 0, len(c.held))
	for name, r := range c.held {
		c.changes = append(c.changes, change{r.Version, name})
	}
	slices.SortFunc(c.changes, func(a, b change) int { return cmp.Compare(a.version, b.version) })
}

// after yields what changed after a version.
func (c *certificates) after(version int64) func(yield func(certificateRecord) bool) {
	return func(yield func(certificateRecord) bool) {
		from, _ := slices.BinarySearchFunc(c.changes, version+1, func(c change, v int64) int { return cmp.Compare(c.version, v) })
		for _, change := range c.changes[from:] {
			if r := c.held[change.app]; r.Version == change.version && !yield(r) {
				return
			}
		}
	}
}

// newest is the version of the last change.
func (c *certificates) newest() int64 {
	if len(c.changes) == 0 {
		return 0
	}
	return c.changes[len(c.changes)-1].version
}

// list is every certificate, those of the lower rank first: as whoever knows
// nothing of ranks, nor of challenges, needs them.
func (c *certificates) list() (all []platform.EdgeCertificate) {
	for _, r := range c.held {
		if !r.Removed && r.Certificate.Challenge == nil {
			all = append(all, r.Certificate)
		}
	}
	slices.SortFunc(all, func(a, b platform.EdgeCertificate) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// SetCertificates sets what routers show for hosts, by name; nil takes one
// away. Nodes hear of all of it at once. Setting what is already set changes
// nothing; who waits for the version that it returns waits for what others set,
// too, so that nothing taken away a moment ago is shown after that.
func (f *Fleet) SetCertificates(wish map[string]*platform.EdgeCertificate) (version int64, err error) {
	f.write.Lock()
	defer f.write.Unlock()
	return f.setCertificates(wish)
}

// setCertificates is SetCertificates; f.write is held.
func (f *Fleet) setCertificates(wish map[string]*platform.EdgeCertificate) (version int64, err error) {
	fresh, version := f.certificateChanges(wish)
	for _, r := range fresh {
		if err := f.disk.putCertificate(r); err != nil {
			return 0, fmt.Errorf("keep certificate %s: %w", r.Certificate.Name, err)
		}
	}
	if len(fresh) == 0 {
		return version, nil
	}
	f.mu.Lock()
	for _, r := range fresh {
		f.certs.note(r)
		f.certs.tell(r)
	}
	f.version, f.said = version, time.Now()
	f.mu.Unlock()
	f.wished.ring()
	return version, nil
}

// certificateChanges are the records that wish makes anew, and the version with
// them.
func (f *Fleet) certificateChanges(wish map[string]*platform.EdgeCertificate) (fresh []certificateRecord, version int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, c := range wish {
		old, known := f.certs.held[name]
		r := certificateRecord{Certificate: platform.EdgeCertificate{Name: name}, Removed: c == nil}
		if c != nil {
			r.Certificate = *c
			r.Certificate.Name = name
			if was := old.Certificate; len(c.OCSP) == 0 && !old.Removed && was.Certificate == c.Certificate {
				r.Certificate.OCSP = was.OCSP // which Staple added
			}
		}
		if !known && r.Removed || known && old.Removed == r.Removed && platform.Same(old.Certificate, r.Certificate) {
			continue
		}
		r.Version = f.version + 1
		fresh = append(fresh, r)
	}
	if len(fresh) == 0 {
		return nil, f.version
	}
	return fresh, f.version + 1
}

// Certificates names those that are set.
func (f *Fleet) Certificates() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, r := range f.certs.held {
		if !r.Removed {
			names = append(names, name)
		}
	}
	return names
}

// tellCertificates adds what a node has to hear of certificates; f.mu is held.
// One that knows of lists alone gets the whole when one changed.
func (f *Fleet) tellCertificates(state *platform.NodeState, since int64, each bool) {
	if !each {
		if state.Edge == nil && f.edgeAt > 0 && f.certs.newest() > since {
			edge := f.edge
			state.Edge = &edge
		}
		if state.Edge != nil {
			state.Edge.Certificates = f.certs.list()
		}
		return
	}
	for r := range f.certs.after(since) {
		if !r.Removed {
			state.Certificates = append(state.Certificates, r.Certificate)
		} else if !state.Full {
			state.CertificatesGone = append(state.CertificatesGone, r.Certificate.Name)
		}
	}
}

func (d *disk) putCertificate(r certificateRecord) error {
	r.Certificate = d.seals.Certificate(r.Certificate)
	return d.files.Put(certificateFile(r.Certificate.Name), r)
}

// loadCertificates reads every certificate's file, and reports whether all of
// them made sense. One that did not is set again by whoever set it.
func (d *disk) loadCertificates() (whole bool, err error) {
	files, err := d.files.List(certificateDir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return true, os.MkdirAll(d.files.Path(certificateDir), 0o700)
		}
		return false, err
	}
	whole = true
	for _, file := range files {
		path := filepath.Join(certificateDir, file+".json")
		var r certificateRecord
		ok, err := d.get(path, &r)
		if err != nil {
			return false, err
		}
		if !ok || certificateFile(r.Certificate.Name) != path {
			whole = false
			continue
		}
		opened, stale, err := d.seals.OpenCertificate(r.Certificate)
		if err != nil {
			if err := d.setAside(path, err); err != nil {
				return false, err
			}
			whole = false
			continue
		}
		r.Certificate = opened
		d.certificates = append(d.certificates, r)
		if stale {
			if err := d.putCertificate(r); err != nil {
				return false, err
			}
		}
	}
	return whole, nil
}

// forgetCertificates bounds how many that were taken away are remembered.
func (d *disk) forgetCertificates() {
	var removed []certificateRecord
	for _, r := range d.certificates {
		if r.Removed {
			removed = append(removed, r)
		}
	}
	if len(removed) <= maxRemoved {
		return
	}
	slices.SortFunc(removed, func(a, b certificateRecord) int { return cmp.Compare(a.Version, b.Version) })
	gone := make(map[string]bool)
	for _, r := range removed[:len(removed)-maxRemoved] {
		d.meta.Floor = max(d.meta.Floor, r.Version)
		gone[r.Certificate.Name] = true
		_ = d.files.Remove(certificateFile(r.Certificate.Name)) // tried again at the next start
	}
	d.certificates = slices.DeleteFunc(d.certificates, func(r certificateRecord) bool { return gone[r.Certificate.Name] })
}
