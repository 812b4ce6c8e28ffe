package node

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/slipway-paas/slipway/internal/platform"
)

// certificateMark tells certificates from apps among the unsaved: no app's id
// has a slash.
const (
	certificateMark = "certificate/"
	certificateDir  = "certificates"
)

// certificateFile is by a hash: names hold what file names cannot.
func certificateFile(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(certificateDir, hex.EncodeToString(sum[:16])+".json")
}

// certificatesAfter are those of s after news.
func (s state) certificatesAfter(news platform.NodeState) map[string]platform.EdgeCertificate {
	if !news.Full && len(news.Certificates) == 0 && len(news.CertificatesGone) == 0 {
		return s.Certificates
	}
	next := make(map[string]platform.EdgeCertificate, len(news.Certificates))
	if !news.Full {
		next = maps.Clone(s.Certificates)
		if next == nil {
			next = make(map[string]platform.EdgeCertificate)
		}
	}
	for _, c := range news.Certificates {
		next[c.Name] = c
	}
	for _, name := range news.CertificatesGone {
		delete(next, name)
	}
	return next
}

// changedCertificates names those that differ between old and next, which came
// of it by news.
func changedCertificates(old, next state, news platform.NodeState) (names []string) {
	for _, c := range news.Certificates {
		if before, known := old.Certificates[c.Name]; !known || old.Version == 0 || !platform.Same(before, c) {
			names = append(names, c.Name)
		}
	}
	names = append(names, news.CertificatesGone...)
	if news.Full {
		for name := range old.Certificates {
			if _, kept := next.Certificates[name]; !kept {
				names = append(names, name)
			}
		}
	}
	return names
}

// certificates are all of the state, in the order of their names.
func (s state) certificates() (all []platform.EdgeCertificate) {
	for _, name := range slices.Sorted(maps.Keys(s.Certificates)) {
		all = append(all, s.Certificates[name])
	}
	return all
}

// certificateNews is what the router has to hear of news.
func certificateNews(old, next state, news platform.NodeState) (changed []platform.EdgeCertificate, gone []string) {
	for _, name := range changedCertificates(old, next, news) {
		if c, kept := next.Certificates[name]; kept {
			changed = append(changed, c)
		} else {
			gone = append(gone, name)
		}
	}
	return changed, gone
}

func (f *stateFile) writeCertificate(s state, name string) error {
	c, wanted := s.Certificates[name]
	if !wanted {
		return f.files.Remove(certificateFile(name))
	}
	return f.files.Put(certificateFile(name), f.seals.Certificate(c))
}

func (f *stateFile) loadCertificates(s *state) (whole bool) {
	s.Certificates = make(map[string]platform.EdgeCertificate)
	files, err := f.files.List(certificateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Error("last state was unreadable", "file", f.files.Path(certificateDir), "err", err)
		return false
	}
	whole = true
	for _, file := range files {
		path := filepath.Join(certificateDir, file+".json")
		var c platform.EdgeCertificate
		_, one, err := f.get(path, &c)
		if err != nil || certificateFile(c.Name) != path {
			f.log.Error("last state was unreadable", "file", f.files.Path(path), "err", err)
			whole = false
			continue
		}
		opened, stale, err := f.seals.OpenCertificate(c)
		if f.opened(certificateMark+c.Name, stale, err) {
			s.Certificates[c.Name] = opened
		}
		whole = err == nil && one && whole
	}
	return whole
}

// sweepCertificates removes files that no certificate of the state has.
func (f *stateFile) sweepCertificates(s state) {
	wanted := make(map[string]bool, len(s.Certificates))
	for name := range s.Certificates {
		wanted[certificateFile(name)] = true
	}
	files, _ := f.files.List(certificateDir)
	for _, file := range files {
		if path := filepath.Join(certificateDir, file+".json"); !wanted[path] {
			_ = f.files.Remove(path) // the next full state tries again
		}
	}
}
