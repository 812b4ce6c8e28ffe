package rules_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/rules"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// told is the head that an app gets, without its first two lines.
func told(t *testing.T, r *rules.Rules, lines ...string) string {
	t.Helper()
	req := request(t, append([]string{"GET / HTTP/1.1"}, lines...)...)
	var tell rules.Told
	tell.Set(r, req, []byte("the-id"))
	set := tell.Append(nil, time.UnixMilli(1700000000123), func(p []byte) {
		for i := range p {
			p[i] = 0 // the worst there is
		}
	})
	head := string(h1.AppendRequest(nil, req, h1.Onward{Drop: tell.Drop, Set: set}))
	return strings.TrimPrefix(head, "GET / HTTP/1.1\r\nHost: a.test\r\n")
}

func TestATraceGoesOnAsItCame(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		sound bool
	}{
		"version 00":                     {parent, true},
		"not sampled":                    {parent[:53] + "00", true},
		"Level 2's random":               {parent[:53] + "03", true},
		"flags of tomorrow":              {parent[:53] + "ff", true},
		"a later version":                {"cc" + parent[2:], true}, // 4.3
		"a later version with more":      {"cc" + parent[2:] + "-what", true},
		"a later version, ill separated": {"cc" + parent[2:] + ".what", false},
		"version ff":                     {"ff" + parent[2:], false}, // 3.2.2.1
		"version 00 with more":           {parent + "-what", false},
		"version 00 with less":           {parent[:54], false},
		"capitals":                       {strings.ToUpper(parent), false}, // 3.2.1
		"no hexadecimal":                 {strings.Replace(parent, "a", "g", 1), false},
		"trace of zeroes":                {"00-" + strings.Repeat("0", 32) + parent[35:], false},       // 3.2.2.3
		"parent of zeroes":               {parent[:36] + strings.Repeat("0", 16) + parent[52:], false}, // 3.2.2.4
		"other separators":               {strings.ReplaceAll(parent, "-", "_"), false},
		"twice":                          {parent + "|" + parent, false},
		"none":                           {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			lines := []string{"tracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}
			for value := range strings.SplitSeq(c.value, "|") {
				if value != "" {
					lines = append(lines, "Traceparent: "+value)
				}
			}
			got := told(t, nil, lines...)
			if strings.Contains(got, "Traceparent: "+c.value+"\r\n") != c.sound || strings.Contains(got, "tracestate") != c.sound || c.sound != strings.Contains(strings.ToLower(got), "traceparent") {
				t.Errorf("the app is told\n%s", got)
			}
			begun := told(t, compile(t, platform.Edge{Traces: true}), lines...)
			if strings.Contains(begun, "\r\ntraceparent: 00-01"+strings.Repeat("0", 30)+"-01"+strings.Repeat("0", 14)+"-03\r\n") == c.sound {
				t.Errorf("with traces begun the app is told\n%s", begun)
			}
		})
	}
}

func TestATraceStateThatIsNoneIsLeftOut(t *testing.T) {
	for value, sound := range map[string]bool{
		"a=1":                           true,
		"a=1, b=2,,\tc=3 ":              true, // 3.3.1.2: empty members are allowed
		"1a/b@c-d_e*=x y":               true, // Level 2
		strings.Repeat("a", 256) + "=1": true,
		strings.Repeat("a", 257) + "=1": false,
		"a=" + strings.Repeat("b", 257): false,
		"A=1":                           false,
		"a":                             false,
		"=1":                            false,
		"a=":                            false,
		"a=b=c":                         false,
		"a=\xff":                        false,
		strings.Repeat("a=1,", 32):      true,
		strings.Repeat("a=1,", 33):      false,
	} {
		got := told(t, nil, "traceparent: "+parent, "tracestate: "+value)
		if !strings.Contains(got, "traceparent") || strings.Contains(got, "tracestate") != sound {
			t.Errorf("%.40q: the app is told\n%s", value, got)
		}
	}
	split := told(t, nil, "traceparent: "+parent, "tracestate: a=1", "tracestate: b=2")
	if strings.Count(split, "tracestate") != 2 {
		t.Errorf("in two fields: %s", split)
	}
}

func TestTheAppIsToldIdsAndTimeAndNothingForged(t *testing.T) {
	got := told(t, compile(t, platform.Edge{RequestStart: true}),
		"X-Correlation-Id: theirs", "X_Correlation_Id: forged", "X-Request-Start: t=1", "X_Request-Start: t=2",
		"X-Client-Cert-Verified: SUCCESS", "x_client_cert_subject: CN=root", "X-Client-Cert: x", "X-Client: stays")
	want := "X-Client: stays\r\nX-Correlation-Id: theirs, the-id\r\nX-Request-Start: t=1700000000123\r\n\r\n"
	if got != want {
		t.Errorf("got\n%s", got)
	}
	for _, harmful := range []string{"\xff", "a\tb", strings.Repeat("x", 300)} {
		if got := told(t, nil, "X-Correlation-Id: "+harmful); got != "X-Correlation-Id: the-id\r\n\r\n" {
			t.Errorf("%.20q: %s", harmful, got)
		}
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add([]byte(parent))
	f.Add([]byte("cc" + parent[2:] + "-x"))
	f.Fuzz(func(t *testing.T, value []byte) {
		if !rules.Traceparent(value) {
			return
		}
		parts := bytes.SplitN(value, []byte("-"), 5)
		if len(parts) < 4 || len(parts[0]) != 2 || len(parts[1]) != 32 || len(parts[2]) != 16 || len(parts[3]) != 2 {
			t.Fatalf("%q was taken", value)
		}
	})
}
