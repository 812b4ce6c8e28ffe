package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// record is what is on disk of an instance. It is written while the process
// is held before its command begins: an instance that runs has a record. Its
// config values are sealed, the rest is not: an instance is found again even
// when the key is gone.
type record struct {
	Spec platform.InstanceSpec `json:"spec"`
	// OneOff: a Run, which ends with the platform that asked for it.
	OneOff bool           `json:"one_off,omitempty"`
	Handle sandbox.Handle `json:"handle"`
	UID    int            `json:"uid"`
	Port   int            `json:"port,omitempty"`
	// Ports are where Spec.Ports are, by the number the app knows them by.
	Ports   map[int]int `json:"ports,omitempty"`
	Started time.Time   `json:"started"`
	// Ended: its exit was told to a watcher; what is left is its output.
	Ended bool `json:"ended,omitempty"`

	// env is the whole environment, made of Spec and the image.
	env []string
	// shut says why Spec's environment could not be opened; nil: it was.
	shut error
}

const (
	recordFile = "record.json"
	outputFile = "output"
	statusFile = "status"
	scratchDir = "scratch"
	tmpDir     = "tmp"
)

func (r *Runtime) writeRecord(dir string, rec record) error {
	rec.Spec = r.seals.Instance(rec.Spec)
	text, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if err := runtime.WriteFile(filepath.Join(dir, recordFile), text); err != nil {
		return fmt.Errorf("record of %s: %w", rec.Spec.ID, err)
	}
	return nil
}

// readRecord returns an error matching runtime.ErrDamaged for what is no record of id.
// stale says that it should be written anew.
func (r *Runtime) readRecord(dir, id string) (rec record, stale bool, err error) {
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return rec, false, err
	}
	if err := json.Unmarshal(text, &rec); err != nil || rec.Spec.ID != id {
		return rec, false, fmt.Errorf("record of %s: %w", id, errors.Join(runtime.ErrDamaged, err))
	}
	if rec.Spec, stale, rec.shut = r.seals.OpenInstance(rec.Spec); rec.shut != nil {
		rec.Spec.Spec.Env = nil
	}
	return rec, stale, nil
}

// Reseal writes the records of what runs anew, under the newest key.
func (r *Runtime) Reseal() error {
	r.mu.Lock()
	defer r.mu.Unlock() // none of them is forgotten meanwhile
	var failed error
	for _, i := range r.live {
		if !isClosed(i.started) || i.confined == nil || i.record.shut != nil {
			continue // sealed when it began, or not to be opened
		}
		if err := r.writeRecord(i.dir, i.record); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// running is what the record says of an instance that runs.
func (rec record) running(dir string, isolation platform.Isolation) runtime.Running {
	return runtime.Running{
		Spec: rec.Spec, Address: address(rec.Port), Addresses: addresses(rec.Ports), Started: rec.Started,
		Output: filepath.Join(dir, outputFile), Isolation: isolation, Shut: rec.shut,
	}
}

// clean removes what only a running instance needs.
func clean(dir string) error {
	var failed error
	for _, name := range []string{scratchDir, tmpDir, statusFile} {
		failed = errors.Join(failed, os.RemoveAll(filepath.Join(dir, name)))
	}
	return failed
}
