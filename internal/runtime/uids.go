package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// UIDs gives each app a user id of its own and never gives it to another: a
// file of a destroyed app must not become another app's.
type UIDs struct {
	path string

	mu    sync.Mutex
	First int            `json:"first"`
	Next  int            `json:"next"`
	Apps  map[string]int `json:"apps"`
}

// OpenUIDs reads the file of given ids, which need not be there yet. Ids begin at first.
func OpenUIDs(path string, first int) (*UIDs, error) {
	u := &UIDs{path: path, First: first, Next: first, Apps: make(map[string]int)}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	if err == nil {
		err = json.Unmarshal(text, u)
	}
	if err != nil || u.Apps == nil {
		// Guessing would hand one app's files to another.
		return nil, fmt.Errorf("user ids of apps: %s: %w: restore it from a backup, or stop all instances and remove it together with images/", path, errors.Join(err, ErrDamaged))
	}
	return u, nil
}

// Of returns the app's uid, on disk before it is used.
func (u *UIDs) Of(app string) (int, error) {
	if os.Geteuid() != 0 {
		return os.Geteuid(), nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if uid, ok := u.Apps[app]; ok {
		return uid, nil
	}
	uid := u.Next
	u.Apps[app], u.Next = uid, uid+1
	text, err := json.MarshalIndent(u, "", " ")
	if err == nil {
		err = WriteFile(u.path, text)
	}
	if err != nil {
		delete(u.Apps, app)
		u.Next = uid
		return 0, fmt.Errorf("user id for %s: %w", app, err)
	}
	return uid, nil
}

// WriteFile replaces a file whole: a crash leaves the old or the new one.
func WriteFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
