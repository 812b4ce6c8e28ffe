package containerd

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// record is what is on disk of an instance, before containerd hears of it: a
// container that no record names is nobody's. Its config values are sealed,
// the rest is not: an instance is found again even when the key is gone.
type record struct {
	Spec platform.InstanceSpec `json:"spec"`
	// OneOff: a Run, which ends with the platform that asked for it.
	OneOff bool `json:"one_off,omitempty"`
	// Container is the copy that runs, or ran last.
	Container string     `json:"container"`
	Shim      string     `json:"shim,omitempty"` // what holds it: see shim
	Network   netip.Addr `json:"network"`
	UID       int        `json:"uid"`
	GID       int        `json:"gid"`
	Image     string     `json:"image"` // its name in containerd
	// Started is zero until the container's own process was begun.
	Started time.Time `json:"started,omitzero"`
	// Ended: its exit was told to a watcher; what is left is its output.
	Ended bool `json:"ended,omitempty"`

	// shut says why Spec's environment could not be opened; nil: it was.
	shut error
}

const (
	recordFile = "record.json"
	outputFile = "output"
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

// readRecord returns an error matching runtime.ErrDamaged for what is no
// record of id. stale says that it should be written anew.
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
		if !i.running() || i.record.shut != nil {
			continue // sealed when it began, or not to be opened
		}
		if err := r.writeRecord(i.dir, i.record); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// runningAs is what the record says of an instance that runs.
func (rec record) runningAs(dir string) runtime.Running {
	running := runtime.Running{
		Spec: rec.Spec, Started: rec.Started, Output: filepath.Join(dir, outputFile),
		Isolation: platform.IsolationContainer, Shut: rec.shut,
	}
	if rec.Spec.Spec.Port {
		running.Address = rec.at(listenPort(rec.Spec.Spec))
	}
	for _, port := range rec.Spec.Spec.Ports {
		if running.Addresses == nil {
			running.Addresses = make(map[int]string)
		}
		running.Addresses[port] = rec.at(port)
	}
	return running
}

func (rec record) at(port int) string {
	return net.JoinHostPort(rec.Network.String(), strconv.Itoa(port))
}

const defaultListen = 5000

// listenPort is the PORT of an instance that has a network of its own.
func listenPort(spec platform.Spec) int {
	if spec.Listen != 0 {
		return spec.Listen
	}
	return defaultListen
}
