package server

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/slipway-paas/slipway/internal/platform"
)

func FuzzABodyIsReadOrRefused(f *testing.F) {
	for _, seed := range []string{
		`{"id":"blog"}`, `{"values":{"A":null,"B":1.50},"memory":"{\"web\":\"1G\"}"}`, `{"a":1,"a":2}`, `{"\ud83d\ude00":"\ud800"}`, `[[[]]]`, `null`, `{"n":1e999}`,
		`{"autoscale":{"web":{"min":1,"max":2,"cpu_percent":40}},"label":{"a":["\u0000"]},"whitelist":["10.0.0.1"]}`, "{\"\xff\":1}", `{"a":"\\ud800"}`,
		`{"healthcheck":{"web/cmd":{"livenessProbe":{"httpGet":{"port":1,"httpHeaders":[{"name":"X","value":"1"}]}}}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := parseFields(data)
		if err != nil {
			if !isInput(err) || !utf8.ValidString(err.Error()) {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		// What is read means the same to everybody who reads it next.
		again, err := json.Marshal(body.raw)
		if err == nil {
			_, err = parseFields(again)
		}
		if err != nil {
			t.Fatalf("%q became %q: %v", data, again, err)
		}
		for name := range body.raw {
			readEveryWay(t, body, name)
		}
	})
}

// readEveryWay reads a field as everything it could be.
func readEveryWay(t *testing.T, body fields, name string) {
	t.Helper()
	for _, as := range []string{"values", "healthcheck", "label", "autoscale", "whitelist", "expires_in", "procfile", "role", "image"} {
		f := fields{raw: map[string]json.RawMessage{as: body.raw[name]}}
		f.required(as)
		f.boolean(as)
		f.texts(as)
		f.lowered(as, f.patch(as, checkTag))
		f.healthchecks()
		f.labels()
		f.autoscale()
		f.lifetime()
		f.build()
		f.role()
		for _, err := range f.wrong {
			if !isInput(err) || !utf8.ValidString(err.Error()) {
				t.Fatalf("%s: %v", body.raw[name], err)
			}
		}
		encode(invalid(f.err()).body)
	}
}

var (
	memoryLaw = regexp.MustCompile(`(?i)^(([0-9]+(MB|KB|GB|[BKMG])|0)(/([0-9]+(MB|KB|GB|[BKMG])))?)$`)
	cpuLaw    = regexp.MustCompile(`^(([-+]?[0-9]*\.?[0-9]+[m]?)(/([-+]?[0-9]*\.?[0-9]+[m]?))?)$`)
	typeLaw   = regexp.MustCompile(`^[a-z0-9]+(\-[a-z0-9]+)*$`)
)

func FuzzALimitThatIsAcceptedIsTheContracts(f *testing.F) {
	for _, seed := range [][2]string{{"web", "50M/100MB"}, {"web", "0"}, {"a-b", "0.5"}, {"w", "100m/500m"}, {"We b", "-1"}, {"web", "1e3"}, {"cmd", "9999999999999999999999G"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, process, text string) {
		if checkMemory(process, text) == "" && (!memoryLaw.MatchString(text) || !typeLaw.MatchString(process)) {
			t.Errorf("memory %q of %q", text, process)
		}
		if checkCPU(process, text) == "" && (!cpuLaw.MatchString(text) || !typeLaw.MatchString(process)) {
			t.Errorf("cpu %q of %q", text, process)
		}
		if checkTag(text, process) == "" && (text == "" || len(text) > 253+1+63) {
			t.Errorf("tag %q", text)
		}
	})
}

func FuzzAHealthcheckThatIsAcceptedComesBackTheSame(f *testing.F) {
	for _, seed := range []string{
		`{"livenessProbe":{"initialDelaySeconds":50,"httpGet":{"path":"/","port":5000,"httpHeaders":[{"name":"X","value":"1"}]}}}`,
		`{"readinessProbe":{"exec":{"command":["/bin/true",""]}},"livenessProbe":null}`, `{"readinessProbe":{"tcpSocket":{"port":1}}}`,
		`{"livenessProbe":{"httpget":{"port":1}}}`, `{"livenessProbe":{"successThreshold":2,"tcpSocket":{"port":1}}}`, `{"livenessProbe":{"tcpSocket":{"port":1},"exec":{"command":["x"]}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if wellFormed(data) != nil {
			return
		}
		probes, message := parseProbes(data)
		if !utf8.ValidString(message) {
			t.Fatalf("%q: %q", data, message)
		}
		for name, probe := range probes {
			if message != "" || probe == nil {
				continue
			}
			wire, err := json.Marshal(map[string]any{name: wireProbe(probe)})
			if err != nil {
				t.Fatal(err)
			}
			again, message := parseProbes(wire)
			if message != "" || !reflect.DeepEqual(plain(*again[name]), plain(*probe)) {
				t.Errorf("%s\nbecame %s\nwhich is %+v: %s", data, wire, again[name], message)
			}
		}
	})
}

// plain makes an empty list of headers none.
func plain(p platform.Probe) platform.Probe {
	if p.HTTPGet != nil {
		get := *p.HTTPGet
		get.HTTPHeaders = slices.Clone(get.HTTPHeaders)
		if len(get.HTTPHeaders) == 0 {
			get.HTTPHeaders = nil
		}
		p.HTTPGet = &get
	}
	return p
}
