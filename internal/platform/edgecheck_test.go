package platform_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// everything has each word set once.
const everything = `{
	"timeouts": {"connect": "2s", "answer": "30s", "idle": "1h", "tcp": "12h", "drain": "1m", "upgraded": "5m"},
	"max_body": "10M", "compress": ["zstd", "br", "gzip"],
	"hsts": {"max_age": "1y", "subdomains": true, "preload": true},
	"redirects": [{"host": "www.example.com", "path": "/old", "to": "https://example.com{path}?{query}", "status": 301}],
	"matches": [{"if": [{"header": "X-Beta", "value": "*"}, {"cookie": "beta", "value": "1"}], "process": "beta"}],
	"pages": {"404": "<p>gone", "5xx": "<p>broken", "maintenance": "<p>later"},
	"deny": ["192.0.2.0/24", "2001:db8::/32"],
	"auth": {"realm": "Staging", "users": {"bob": "HASH"}},
	"headers": {"X-Frame-Options": "DENY", "Server": ""},
	"request_start": true, "protocol": "h2c", "proxy": 2,
	"balance": {"sticky": "cookie", "slow_start": "30s", "retries": 0, "retry_budget": 20, "hedge": "200ms", "max_concurrent": 50},
	"rates": [{"by": "header:X-Key", "per_second": 0.5, "burst": 20, "concurrent": 4, "path": "/login"}],
	"overload": {"mode": "on", "limit": 8, "target": "20ms", "user": "cookie:session",
		"classes": [{"class": "critical", "method": "POST", "path": "/pay", "header": "X-Vip", "value": "*", "process": "web"}]},
	"log": {"sample": 0}, "tls": "modern", "traces": true
}`

func hash(t testing.TB) string {
	t.Helper()
	text, err := platform.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func parse(t testing.TB, text string) platform.Edge {
	t.Helper()
	edge, err := platform.ParseEdge([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return edge
}

func TestWordsComeBackAsTheyWereWritten(t *testing.T) {
	edge := parse(t, strings.ReplaceAll(everything, "HASH", hash(t)))
	if edge.Timeouts.Answer != 30*time.Second || edge.MaxBody != 10<<20 || edge.HSTS.MaxAge != 365*24*time.Hour || *edge.Balance.Retries != 0 || *edge.Log.Sample != 0 {
		t.Fatalf("read as %+v", edge)
	}
	text, err := json.Marshal(edge.Words())
	if err != nil {
		t.Fatal(err)
	}
	if again := parse(t, string(text)); !platform.Same(again, edge) {
		t.Errorf("written\n%s\nand read\n%+v\nwhich was\n%+v", text, again, edge)
	}
	var between platform.Edge
	native, _ := json.Marshal(edge)
	if err := json.Unmarshal(native, &between); err != nil || !platform.Same(between, edge) {
		t.Errorf("between control plane and router %s became %+v: %v", native, between, err)
	}
}

func TestNothingSetIsNoWordAtAll(t *testing.T) {
	if text, _ := json.Marshal(platform.Edge{}.Words()); string(text) != "{}" {
		t.Errorf("the zero edge is written %s", text)
	}
	if edge := parse(t, `{"timeouts":{},"deny":[],"headers":{}}`); !platform.Same(edge, platform.Edge{}) {
		t.Errorf("empty words are %+v", edge)
	}
}

func TestWhatIsWrongIsNamedWithItsFieldAndItsCure(t *testing.T) {
	long := strings.Repeat("x", 70<<10)
	for text, want := range map[string]string{
		`{"timeout":"30s"}`:                                                            "timeout: There is no such word; there are auth, balance,",
		`{"timeouts":{"anser":"1s"}}`:                                                  "timeouts.anser: There is no such word; there are answer,",
		`{"timeouts":{"answer":"soon"}}`:                                               `timeouts.answer: "soon" is no span of time: write 250ms, 30s`,
		`{"timeouts":{"answer":"2d"}}`:                                                 "timeouts.answer: 2d is not between 10ms and 1d",
		`{"timeouts":{"drain":-5}}`:                                                    "timeouts.drain: -5 is no span",
		`{"timeouts":5}`:                                                               "timeouts: 5 is no object",
		`{"max_body":"big"}`:                                                           `max_body: "big" is no size: write 512K`,
		`{"max_body":"2000T"}`:                                                         "max_body: ",
		`{"compress":["lzma"]}`:                                                        `compress[0]: There is no coding "lzma"; there are zstd, br and gzip.`,
		`{"compress":["br","br"]}`:                                                     "compress[1]: br comes twice.",
		`{"compress":"br"}`:                                                            `compress: "br" is no list`,
		`{"compress":["identity","br"]}`:                                               "compress[0]: identity is for no compression",
		`{"hsts":{"max_age":"20y"}}`:                                                   "hsts.max_age: Write whole seconds up to 10y",
		`{"hsts":{"max_age":"1d","preload":true}}`:                                     "hsts.preload: ",
		`{"redirects":[{"to":"example.com"}]}`:                                         "redirects[0].to: Write a URL",
		`{"redirects":[{"to":"https://{query}"}]}`:                                     "redirects[0].to: Its host is none that you chose",
		`{"redirects":[{"to":"https://a{query}/"}]}`:                                   "redirects[0].to: Its host is none that you chose",
		`{"redirects":[{"to":"https://me@a/"}]}`:                                       "redirects[0].to: Its host is none that you chose",
		`{"redirects":[{"to":"//a"}]}`:                                                 "redirects[0].to: Write a URL",
		`{"redirects":[{"to":"javascript://a"}]}`:                                      "redirects[0].to: Write a URL",
		`{"redirects":[{"to":"/a\r\nX: y"}]}`:                                          "redirects[0].to: ",
		`{"redirects":[{"to":"/a{uri}"}]}`:                                             "redirects[0].to: {uri} stands for nothing",
		`{"redirects":[{"to":"/a{"}]}`:                                                 "redirects[0].to: { stands for nothing",
		`{"redirects":[{"to":"/a","status":200}]}`:                                     "redirects[0].status: 200 is none of 301",
		`{"redirects":[{"to":"/a","host":"a b"}]}`:                                     `redirects[0].host: "a b" is no host name`,
		`{"redirects":[{"to":"/a","path":"a"}]}`:                                       `redirects[0].path: "a" is no path: write /prefix`,
		`{"redirects":[{"to":"/a","path":"~ ("}]}`:                                     "redirects[0].path: ",
		`{"redirects":[{"to":"/a","path":"~ (x{20}){40}"}]}`:                           "The regular expressions of this app's edge are too large",
		`{"matches":[{"process":"web"}]}`:                                              "matches[0].if: There are 1 to 8 conditions",
		`{"matches":[{"process":"Web","if":[{"header":"A","value":"*"}]}]}`:            `matches[0].process: "Web" is no process type`,
		`{"matches":[{"process":"a","if":[{"header":"A","cookie":"b","value":"*"}]}]}`: "matches[0].if[0]: A condition is about a header or a cookie",
		`{"matches":[{"process":"a","if":[{"value":"*"}]}]}`:                           "matches[0].if[0]: A condition is about a header or a cookie",
		`{"matches":[{"process":"a","if":[{"header":"A"}]}]}`:                          "matches[0].if[0].value: Say which value",
		`{"matches":[{"process":"a","if":[{"header":"A b","value":"*"}]}]}`:            "matches[0].if[0].header: ",
		`{"pages":{"200":"x"}}`:                                                        "pages.200: A page is for a status",
		`{"pages":{"404":""}}`:                                                         "pages.404: A page is HTML",
		`{"pages":{"404":"` + long + `"}}`:                                             "pages.404: A page has at most 64K",
		`{"deny":["everybody"]}`:                                                       `deny[0]: "everybody" is no address and no network`,
		`{"auth":{"users":{"bob":null}}}`:                                              "",
		`{"auth":{"realm":"x"}}`:                                                       "auth.users: Nobody could come in",
		`{"auth":{"users":{"bob":"hunter2hunter2"}}}`:                                  "auth.users.bob: This is no hash",
		`{"auth":{"users":{"bob":"********"}}}`:                                        "auth.users.bob: There is no password of this name to keep",
		`{"auth":{"realm":"a\"b","users":{"a:b":"HASH"}}}`:                             "auth.realm: ",
		`{"headers":{"Content-Length":"1"}}`:                                           "headers.Content-Length: The router itself says this.",
		`{"headers":{"x-forwarded-for":"1"}}`:                                          "headers.X-Forwarded-For: The router itself says this.",
		`{"headers":{"host":"1"}}`:                                                     "headers.Host: The router itself",
		`{"headers":{"Strict-Transport-Security":"1"}}`:                                "headers.Strict-Transport-Security: This has a word of its own: hsts.",
		`{"headers":{"A":"x\r\nB: y"}}`:                                                "headers.A: A value has no line breaks",
		`{"headers":{"A:":"x"}}`:                                                       "headers.A:: This is no name of a header",
		`{"headers":{"X-A":"1","x-a":"2"}}`:                                            "headers.x-a: This header comes twice.",
		`{"protocol":"h3"}`:                                                            "protocol: Instances speak http1",
		`{"proxy":3}`:                                                                  "proxy: 3 is not between 0 and 2.",
		`{"proxy":"2"}`:                                                                `proxy: "2" is no whole number.`,
		`{"proxy":1.5}`:                                                                "proxy: 1.5 is no whole number.",
		`{"balance":{"sticky":"yes"}}`:                                                 "balance.sticky: ",
		`{"balance":{"retries":11}}`:                                                   "balance.retries: 11 is not between 0 and 10.",
		`{"rates":[{"by":"client"}]}`:                                                  "rates[0]: This bounds nothing",
		`{"rates":[{"by":"client","burst":2,"concurrent":1}]}`:                         "rates[0].burst: A burst is over a rate",
		`{"rates":[{"by":"ip","per_second":1}]}`:                                       "rates[0].by: Write client, app, header:NAME or cookie:NAME.",
		`{"rates":[{"by":"cookie:","per_second":1}]}`:                                  "rates[0].by: ",
		`{"rates":[{"by":"app","per_second":1e300}]}`:                                  "rates[0].per_second: ",
		`{"overload":{"mode":"maybe"}}`:                                                `overload.mode: "maybe" is none of off, observe and on.`,
		`{"overload":{"user":"session"}}`:                                              "overload.user: Write header:NAME or cookie:NAME.",
		`{"overload":{"classes":[{"class":"vip","path":"/"}]}}`:                        `overload.classes[0].class: "vip" is none of critical, normal, bulk, background.`,
		`{"overload":{"classes":[{"class":"bulk"}]}}`:                                  "overload.classes[0]: This is for no request",
		`{"overload":{"classes":[{"class":"bulk","method":"post"}]}}`:                  "overload.classes[0].method: ",
		`{"overload":{"classes":[{"class":"bulk","path":"/","value":"x"}]}}`:           "overload.classes[0].value: Say of which header.",
		`{"log":{"sample":1001}}`:                                                      "log.sample: 1001 is not between 0 and 1000.",
		`{"clients":{"ca":"hello"}}`:                                                   "clients.ca: Write 1 to 50 certificates in PEM",
		`{"clients":{"ca":"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"}}`: "clients.ca: This has a EC PRIVATE KEY",
		`{"clients":{"ca":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}}`:       "clients.ca: Certificate 1 cannot be read",
		`{"tls":"ssl3"}`: `tls: "ssl3" is neither modern`,
		`[]`:             "An edge is a JSON object",
		`{}{}`:           "Something follows",
	} {
		_, err := platform.ParseEdge([]byte(strings.ReplaceAll(text, "HASH", hash(t))))
		switch {
		case want == "" && err != nil:
			t.Errorf("%.80s: %v", text, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, platform.ErrInvalid)):
			t.Errorf("%.80s:\n%v\nwant %s", text, err, want)
		}
	}
}

func TestAnErrorNamesEveryFieldButNoEndlessList(t *testing.T) {
	_, err := platform.ParseEdge([]byte(`{"proxy":7,"protocol":"spdy"}`))
	if err == nil || !strings.Contains(err.Error(), "proxy") || !strings.Contains(err.Error(), "protocol") {
		t.Errorf("two that are wrong: %v", err)
	}
	_, err = platform.ParseEdge([]byte(`{"deny":["` + strings.Repeat(`x","`, 900) + `y"]}`))
	if lines := strings.Count(err.Error(), "\n"); lines > 20 {
		t.Errorf("an error of %d lines", lines)
	}
}

func TestAnAppsWordsAreBoundedTogether(t *testing.T) {
	pages := map[string]string{}
	for i := range 5 {
		pages[fmt.Sprint(400+i)] = strings.Repeat("x", 60<<10)
	}
	if err := (platform.Edge{Pages: pages}).Validate(); err == nil || !strings.Contains(err.Error(), "at most 256K together") {
		t.Errorf("five large pages: %v", err)
	}
}

func TestAPatchChangesWhatItNamesAndNullTakesAway(t *testing.T) {
	before := parse(t, `{"timeouts":{"answer":"30s","idle":"1h"},"hsts":{"max_age":"1y"},"headers":{"X-A":"1","X-B":"2"},"deny":["10.0.0.0/8"]}`)
	patch, err := platform.ParseEdgePatch([]byte(`{"timeouts":{"answer":null,"drain":90},"hsts":null,"headers":{"x-a":null,"x-c":"3"},"deny":["192.0.2.7"]}`))
	if err != nil {
		t.Fatal(err)
	}
	after, err := before.Patched(patch)
	want := platform.Edge{
		Timeouts: platform.EdgeTimeouts{Idle: time.Hour, Drain: 90 * time.Second},
		Headers:  map[string]string{"X-B": "2", "X-C": "3"}, Deny: []string{"192.0.2.7/32"},
	}
	if err != nil || !platform.Same(after, want) {
		t.Errorf("%+v, %v\nwant %+v", after, err, want)
	}
	if before.Timeouts.Answer != 30*time.Second || before.Headers["X-A"] != "1" {
		t.Errorf("the one before changed: %+v", before)
	}
}

func TestPasswordsAreHashedAndAMaskKeepsTheOneThatIsThere(t *testing.T) {
	patch, err := platform.ParseEdgePatch([]byte(`{"auth":{"users":{"bob":"correct horse","eve":"battery staple"}}}`))
	if err != nil || patch.HashPasswords() != nil {
		t.Fatal(err)
	}
	edge, err := platform.Edge{}.Patched(patch)
	if err != nil {
		t.Fatal(err)
	}
	if users := edge.Auth.Users; !platform.VerifyPassword(users["bob"], "correct horse") || platform.VerifyPassword(users["bob"], "battery staple") ||
		platform.VerifyPassword(users["bob"], "") || platform.VerifyPassword("", "") || strings.Contains(users["bob"], "horse") {
		t.Errorf("kept as %v", users)
	}
	shown, _ := json.Marshal(edge.WithoutSecrets().Words())
	if strings.Contains(string(shown), "pbkdf2") || edge.Auth.Users["bob"] == platform.Masked {
		t.Errorf("shown as %s", shown)
	}
	back, err := platform.ParseEdgePatch(shown)
	if err != nil || back.HashPasswords() != nil {
		t.Fatal(err)
	}
	if again, err := edge.Patched(back); err != nil || !platform.Same(again, edge) {
		t.Errorf("written back it is %+v, %v", again, err)
	}
	short, _ := platform.ParseEdgePatch([]byte(`{"auth":{"users":{"bob":"short"}}}`))
	if err := short.HashPasswords(); err == nil || strings.Contains(err.Error(), "short") || !strings.HasPrefix(err.Error(), "auth.users.bob: ") {
		t.Errorf("a short one: %v", err)
	}
}

func TestAHashThatWouldCostTooMuchIsNone(t *testing.T) {
	good := hash(t)
	for _, bad := range []string{
		strings.Replace(good, "$100000$", "$100000000$", 1), strings.Replace(good, "$100000$", "$1$", 1), strings.Replace(good, "$100000$", "$-1$", 1),
		good + "A", good[:len(good)-2], "sha1" + good, good + "$", "", "$$$",
	} {
		if platform.ValidPasswordHash(bad) || platform.VerifyPassword(bad, "correct horse") {
			t.Errorf("%q is taken", bad)
		}
	}
	if !platform.ValidPasswordHash(good) {
		t.Errorf("%q is not taken", good)
	}
}

// any is some value of each kind that Edge has, by reflection, valid or not.
func some(r *rand.Rand, v reflect.Value, depth int) {
	if r.IntN(3) == 0 {
		return
	}
	words := []string{"", "*", "/x", "web", "client", "gzip", "404", "X-A", "10.0.0.0/8", "on", "é\n", "https://a{path}"}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		some(r, v.Elem(), depth+1)
	case reflect.Struct:
		for _, field := range v.Fields() {
			some(r, field, depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.IntN(2), 4))
		for i := range v.Len() {
			some(r, v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{words[r.IntN(len(words))]: words[r.IntN(len(words))]}))
	case reflect.Int64:
		v.SetInt(r.Int64N(int64(1) << (1 + r.IntN(55))))
	case reflect.Int:
		v.SetInt(int64(r.IntN(2000)))
	case reflect.Float64:
		v.SetFloat(r.Float64() * 100)
	case reflect.Bool:
		v.SetBool(true)
	default:
		v.SetString(words[r.IntN(len(words))])
	}
}

func TestEveryValidEdgeIsReadAsItIsWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	valid := 0
	for range 20_000 {
		var edge platform.Edge
		field := reflect.ValueOf(&edge).Elem()
		for range 1 + r.IntN(3) {
			some(r, field.Field(r.IntN(field.NumField())), 0)
		}
		edge = edge.Tidy()
		if !platform.Same(edge, edge.Tidy()) {
			t.Fatalf("tidied twice: %+v", edge)
		}
		text, err := json.Marshal(edge.Words())
		if err != nil {
			t.Fatal(err)
		}
		again, err := platform.ParseEdge(text)
		if (err == nil) != (edge.Validate() == nil) {
			t.Fatalf("%s: %v, and %v", text, err, edge.Validate())
		}
		if edge.Validate() != nil || err != nil {
			continue
		}
		if valid++; !platform.Same(again, edge) {
			t.Fatalf("%s is read as %+v, which was %+v", text, again, edge)
		}
	}
	if valid < 500 {
		t.Errorf("only %d of the edges were valid", valid)
	}
}

func FuzzAnEdgeIsReadAsItIsWritten(f *testing.F) {
	f.Add(strings.ReplaceAll(everything, "HASH", "pbkdf2-sha256$100000$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	f.Add(`{"timeouts":{"answer":"1y"},"max_body":1e3}`)
	f.Add(`{"rates":[{"by":"app","per_second":1e-3}],"hsts":{"max_age":0}}`)
	f.Fuzz(func(t *testing.T, text string) {
		edge, err := platform.ParseEdge([]byte(text))
		if err != nil {
			if !errors.Is(err, platform.ErrInvalid) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		written, err := json.Marshal(edge.Words())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := platform.ParseEdge(written); err != nil || !platform.Same(again, edge) {
			t.Errorf("%q is written %s, then read %+v, %v", text, written, again, err)
		}
	})
}

func TestSpansAndSizesAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "30": 30 * time.Second, "1.5": 1500 * time.Millisecond, "250ms": 250 * time.Millisecond, "1y": 365 * 24 * time.Hour,
		"2w": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0": 0, "0s": 0, "1h30m": 90 * time.Minute,
	} {
		if got, ok := platform.ParseSpan(text); !ok || got != want {
			t.Errorf("%s: %v, %t", text, got, ok)
		}
		if again, ok := platform.ParseSpan(platform.SpanText(want)); !ok || again != want {
			t.Errorf("%s is written %s", want, platform.SpanText(want))
		}
	}
	for _, text := range []string{"", "s", "d", "-1s", "-1", "1x", "NaN", "Inf", "1e99", "99999y", "1y1y", "+1s", "0x1p4", "1d-2h", "1 s"} {
		if got, ok := platform.ParseSpan(text); ok {
			t.Errorf("%q is read as %s", text, got)
		}
	}
	for text, want := range map[string]int64{"512": 512, "1K": 1024, "10M": 10 << 20, "10mb": 10 << 20, "10MiB": 10 << 20, "2G": 2 << 30, "0": 0} {
		if got, ok := platform.ParseSize(text); !ok || got != want {
			t.Errorf("%s: %d, %t", text, got, ok)
		}
		if again, ok := platform.ParseSize(platform.SizeText(want)); !ok || again != want {
			t.Errorf("%d is written %s", want, platform.SizeText(want))
		}
	}
	for _, text := range []string{"", "M", "-1", "1.5M", "1X", "99999999999G", "+1"} {
		if got, ok := platform.ParseSize(text); ok {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}
