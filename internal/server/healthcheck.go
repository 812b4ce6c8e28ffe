package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

// The keys of a healthcheck.
const (
	liveness  = platform.ProbeLiveness
	readiness = platform.ProbeReadiness
)

func (f *fields) healthchecks() platform.HealthPatch {
	object, _ := f.object("healthcheck")
	patch := make(platform.HealthPatch, len(object))
	for _, process := range slices.Sorted(maps.Keys(object)) {
		if process != api.DefaultBucket && !platform.ValidProcessType(process) {
			f.reject("healthcheck", badProcessType)
			continue
		}
		if null(object[process]) {
			patch[process] = nil
			continue
		}
		probes, message := parseProbes(object[process])
		if message != "" {
			f.reject("healthcheck", message)
			continue
		}
		patch[process] = probes
	}
	return patch
}

func parseProbes(raw json.RawMessage) (map[string]*platform.Probe, string) {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil || object == nil {
		return nil, unfit(raw, literalOf(raw)+" is not of type 'object'")
	}
	probes := make(map[string]*platform.Probe, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if name != liveness && name != readiness {
			return nil, "Healthcheck keys must be either livenessProbe or readinessProbe"
		}
		if null(object[name]) {
			probes[name] = nil
			continue
		}
		probe, reason := parseProbe(object[name])
		switch {
		case reason != "":
			return nil, unfit(object[name], reason)
		case name == liveness && probe.SuccessThreshold > 1:
			return nil, "livenessProbe successThreshold can only be 1"
		}
		probes[name] = probe
	}
	return probes, ""
}

// parseProbe returns a probe, or the reason why raw is none.
func parseProbe(raw json.RawMessage) (*platform.Probe, string) {
	var probe platform.Probe
	reason := properties(raw, map[string]reader{
		"initialDelaySeconds": integer(&probe.InitialDelaySeconds),
		"timeoutSeconds":      integer(&probe.TimeoutSeconds),
		"periodSeconds":       integer(&probe.PeriodSeconds),
		"successThreshold":    integer(&probe.SuccessThreshold),
		"failureThreshold":    integer(&probe.FailureThreshold),
		"httpGet": func(raw json.RawMessage) string {
			probe.HTTPGet = new(platform.HTTPGet)
			return readHTTPGet(raw, probe.HTTPGet)
		},
		"tcpSocket": func(raw json.RawMessage) string {
			probe.TCPSocket = new(platform.TCPSocket)
			return properties(raw, map[string]reader{"port": integer(&probe.TCPSocket.Port), "host": word(new(string))}, "port")
		},
		"exec": func(raw json.RawMessage) string {
			probe.Exec = new(platform.Exec)
			return properties(raw, map[string]reader{"command": wordList(&probe.Exec.Command)}, "command")
		},
	})
	if reason != "" {
		return nil, reason
	}
	return &probe, checkProbe(probe)
}

func readHTTPGet(raw json.RawMessage, get *platform.HTTPGet) string {
	return properties(raw, map[string]reader{
		"path": word(&get.Path), "port": integer(&get.Port), "host": word(&get.Host), "scheme": word(&get.Scheme),
		"httpHeaders": each(func(raw json.RawMessage) string {
			var header platform.HTTPHeader
			reason := properties(raw, map[string]reader{"name": word(&header.Name), "value": word(&header.Value)}, "name", "value")
			get.HTTPHeaders = append(get.HTTPHeaders, header)
			return reason
		}),
	}, "port")
}

// wordList reads a list of strings.
func wordList(to *[]string) reader {
	return each(func(raw json.RawMessage) string {
		var one string
		reason := word(&one)(raw)
		*to = append(*to, one)
		return reason
	})
}

// maxSeconds and maxThreshold bound a probe's numbers.
const (
	maxSeconds   = 24 * 60 * 60
	maxThreshold = 1000
)

// checkProbe says in words what no probe may be; empty when all is well.
func checkProbe(p platform.Probe) string {
	for _, seconds := range []int{p.InitialDelaySeconds, p.TimeoutSeconds, p.PeriodSeconds} {
		if seconds < 0 || seconds > maxSeconds {
			return fmt.Sprintf("seconds must be between 0 and %d", maxSeconds)
		}
	}
	for _, threshold := range []int{p.SuccessThreshold, p.FailureThreshold} {
		if threshold < 0 || threshold > maxThreshold {
			return fmt.Sprintf("thresholds must be between 0 and %d", maxThreshold)
		}
	}
	kinds := 0
	for _, set := range []bool{p.HTTPGet != nil, p.TCPSocket != nil, p.Exec != nil} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return "one of 'httpGet', 'tcpSocket' and 'exec' is required"
	case p.HTTPGet != nil:
		return checkHTTPGet(*p.HTTPGet)
	case p.TCPSocket != nil:
		return checkPort(p.TCPSocket.Port)
	}
	return checkExec(p.Exec.Command)
}

func checkPort(port int) string {
	if port < 0 || port > 65535 {
		return "'port' must be between 0 and 65535"
	}
	return ""
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func checkHTTPGet(get platform.HTTPGet) string {
	switch {
	case strings.ContainsFunc(get.Path+get.Host, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "'path' and 'host' hold no white space"
	case get.Scheme != "" && get.Scheme != "HTTP" && get.Scheme != "HTTPS":
		return "'scheme' must be HTTP or HTTPS"
	}
	for _, header := range get.HTTPHeaders {
		if !headerName.MatchString(header.Name) || strings.ContainsFunc(header.Value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return fmt.Sprintf("%q is no header", textproto.TrimString(clip(header.Name)))
		}
	}
	return checkPort(get.Port)
}

func checkExec(command []string) string {
	if len(command) == 0 {
		return "'command' is too short"
	}
	return ""
}

const legacy = "HEALTHCHECK_"

var legacyPath = regexp.MustCompile(`^/[^?#\s]*$`)

// checkLegacy holds the rules of the HEALTHCHECK_* values.
func checkLegacy(key, value string) string {
	switch {
	case key == legacy+"URL" && !strings.HasPrefix(value, "/"):
		return "HEALTHCHECK_URL is missing a URI path (such as /healthz). Without it no health check can be done"
	case key == legacy+"URL" && !legacyPath.MatchString(value):
		return "HEALTHCHECK_URL can only be a URI path (such as /healthz) that does not contain other things such as query params"
	case key == legacy+"URL":
	case strings.HasPrefix(key, legacy) && !digits(value):
		return key + " can only be a numeric value"
	}
	return ""
}

// legacyHealthcheck turns HEALTHCHECK_URL and what goes with it into both
// probes of the default bucket, and takes them out of the values.
func legacyHealthcheck(f *fields, patch *controller.ConfigPatch, health platform.HealthPatch) {
	url := patch.Values[legacy+"URL"]
	if url == nil {
		return
	}
	number := func(name string, otherwise int) int {
		if value := patch.Values[legacy+name]; value != nil {
			otherwise, _ = strconv.Atoi(*value)
		}
		return otherwise
	}
	probe := platform.Probe{
		TimeoutSeconds:      number("TIMEOUT", 50),
		InitialDelaySeconds: number("INITIAL_DELAY", 50),
		PeriodSeconds:       number("PERIOD_SECONDS", 10),
		SuccessThreshold:    number("SUCCESS_THRESHOLD", 1),
		FailureThreshold:    number("FAILURE_THRESHOLD", 3),
		HTTPGet:             &platform.HTTPGet{Path: *url},
	}
	if reason := checkProbe(probe); reason != "" {
		f.reject("values", reason)
	}
	live := probe
	live.SuccessThreshold = 1
	health[api.DefaultBucket] = map[string]*platform.Probe{liveness: &live, readiness: &probe}
	maps.DeleteFunc(patch.Values, func(key string, _ *string) bool { return strings.HasPrefix(key, legacy) })
}

func wireProbe(p *platform.Probe) *api.Probe {
	if p == nil {
		return nil
	}
	probe := &api.Probe{
		InitialDelaySeconds: p.InitialDelaySeconds, TimeoutSeconds: p.TimeoutSeconds, PeriodSeconds: p.PeriodSeconds,
		SuccessThreshold: p.SuccessThreshold, FailureThreshold: p.FailureThreshold,
	}
	switch {
	case p.HTTPGet != nil:
		probe.HTTPGet = &api.HTTPGet{Path: p.HTTPGet.Path, Port: p.HTTPGet.Port, Scheme: p.HTTPGet.Scheme, Host: p.HTTPGet.Host}
		for _, h := range p.HTTPGet.HTTPHeaders {
			probe.HTTPGet.HTTPHeaders = append(probe.HTTPGet.HTTPHeaders, api.HTTPHeader(h))
		}
	case p.TCPSocket != nil:
		probe.TCPSocket = &api.TCPSocket{Port: p.TCPSocket.Port}
	case p.Exec != nil:
		probe.Exec = &api.Exec{Command: p.Exec.Command}
	}
	return probe
}
