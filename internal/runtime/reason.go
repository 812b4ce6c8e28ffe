package runtime

import (
	"errors"
	"fmt"

	"github.com/slipway-paas/slipway/internal/platform"
)

// ErrDamaged is a file of a runtime that is not what was written.
var ErrDamaged = errors.New("damaged")

// lastSignal is the highest a process can end by; above are exit codes such as 255.
const lastSignal = 64

// Reason says in words how an instance with these limits ended: see Exit.
func Reason(code int, outOfMemory bool, limits platform.Limits) string {
	switch {
	case outOfMemory && (code == 137 || code == -1):
		return "killed for more than " + Size(limits.MemoryBytes) + " of memory"
	case outOfMemory:
		return fmt.Sprintf("exited with code %d after a process of it was killed for more than %s of memory", code, Size(limits.MemoryBytes))
	case code == -1:
		return "ended while no node was watching"
	case code > 128 && code <= 128+lastSignal:
		return fmt.Sprintf("ended by signal %d", code-128)
	}
	return fmt.Sprintf("exited with code %d", code)
}

// Size renders bytes in the largest binary unit that keeps them whole.
func Size(bytes int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if bytes >= unit.bytes && bytes%unit.bytes == 0 {
			return fmt.Sprintf("%d %s", bytes/unit.bytes, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", bytes)
}
