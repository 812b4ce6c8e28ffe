package platform

import (
	"maps"
	"slices"
)

// The names of a Healthcheck's probes.
const (
	ProbeLiveness  = "livenessProbe"
	ProbeReadiness = "readinessProbe"
)

// HealthPatch changes health checks probe by probe: a process type, or
// "web/cmd", to the name of a probe to the probe. A nil probe removes it, a nil
// map all of the process type.
type HealthPatch map[string]map[string]*Probe

// Onto is current with the patch applied; current stays as it is. Removing what
// is not there is an error that matches ErrUnprocessable and names it.
func (p HealthPatch) Onto(current map[string]Healthcheck) (map[string]Healthcheck, error) {
	merged := maps.Clone(current)
	if merged == nil {
		merged = make(map[string]Healthcheck)
	}
	for _, process := range slices.Sorted(maps.Keys(p)) {
		health, exists := merged[process]
		if p[process] == nil {
			if !exists {
				return nil, noHealthcheck(process)
			}
			delete(merged, process)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(p[process])) {
			place := &health.Liveness
			if name == ProbeReadiness {
				place = &health.Readiness
			}
			probe := p[process][name]
			switch {
			case probe == nil && !exists:
				return nil, noHealthcheck(process)
			case probe == nil && *place == nil:
				return nil, noHealthcheck(name)
			}
			*place = probe
		}
		merged[process] = health
	}
	return merged, nil
}

func noHealthcheck(name string) error {
	return &UserError{Kind: ErrUnprocessable, Message: name + " does not exist under healthcheck"}
}
