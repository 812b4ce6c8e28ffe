package server_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/server"
)

// sound is a body in order for every row that takes one, so that a test can
// spoil one field and leave the rest.
var sound = map[string]string{
	"POST /v2/auth/register/":                `{"username":"bob","password":"secret","email":"d@example.com","first_name":"D","last_name":"V"}`,
	"POST /v2/auth/login/":                   `{"username":"zoe","password":""}`,
	"POST /v2/auth/passwd/":                  `{"username":"zoe","password":"secret","new_password":"secret"}`,
	"POST /v2/auth/tokens/":                  `{"username":"zoe","all":false}`,
	"DELETE /v2/auth/cancel/":                `{"username":"bob"}`,
	"POST /v2/admin/perms/":                  `{"username":"carol"}`,
	"POST /v2/tokens/":                       `{"name":"ci","role":"viewer","apps":["blog"],"expires_in":60}`,
	"POST /v2/keys/":                         `{"id":"k","public":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHTHHACSMAh1PoYqVMpdD7GTHS+UYLl8N8ZoS5KNbMG x"}`,
	"POST /v2/certs/":                        `{"name":"mine","certificate":"x","key":"y"}`,
	"POST /v2/certs/{name}/domain/":          `{"domain":"blog","replace":false}`,
	"POST /v2/apps/":                         `{"id":"blog"}`,
	"POST /v2/apps/{app}/":                   `{"owner":"ada"}`,
	"POST /v2/apps/{app}/rename/":            `{"id":"blog"}`,
	"POST /v2/apps/{app}/perms/":             `{"username":"carol","role":"viewer"}`,
	"POST /v2/apps/{app}/run":                `{"command":"true"}`,
	"POST /v2/apps/{app}/scale/":             `{"web":1}`,
	"POST /v2/apps/{app}/builds/":            `{"image":"example.com/x:1","procfile":{"web":"run"},"sha":"12345678","dockerfile":""}`,
	"POST /v2/apps/{app}/config/":            `{"values":{"A":"1"},"memory":{"web":"64M"},"cpu":{"web":"1"},"healthcheck":{"web":{"livenessProbe":{"tcpSocket":{"port":1}}}},"termination_grace_period":{"web":"30"},"tags":{},"registry":{},"lifecycle_post_start":{"web":"true"},"lifecycle_pre_stop":{"web":"true"}}`,
	"POST /v2/apps/{app}/releases/rollback/": `{"version":1}`,
	"POST /v2/apps/{app}/domains/":           `{"domain":"www.example.com"}`,
	"POST /v2/apps/{app}/settings/":          `{"maintenance":true,"routable":true,"deploy_branch":"main","whitelist":["10.0.0.1"],"label":{"a":1},"autoscale":{"web":{"min":1,"max":2,"cpu_percent":50}}}`,
	"POST /v2/apps/{app}/whitelist/":         `{"addresses":["10.0.0.1"]}`,
	"DELETE /v2/apps/{app}/whitelist/":       `{"addresses":["10.0.0.1"]}`,
	"POST /v2/apps/{app}/tls/":               `{"https_enforced":true}`,
	"POST /v2/apps/{app}/tls/certificates/":  `{"automatic":true}`,
	"POST /v2/apps/{app}/services/":          `{"procfile_type":"web","path_pattern":"/x"}`,
	"DELETE /v2/apps/{app}/services/":        `{"procfile_type":"web"}`,
	"POST /v2/apps/{app}/edge/":              `{"timeouts":{"answer":"30s"},"max_body":"10M","compress":["gzip"],"hsts":{"max_age":"1y"},"redirects":[{"to":"/x"}],"matches":[{"if":[{"header":"A","value":"*"}],"process":"web"}],"pages":{"404":"x"},"deny":["10.0.0.0/8"],"auth":{"users":{"bob":"correct horse"}},"headers":{"X-A":"1"},"request_start":true,"protocol":"h2c","proxy":1,"balance":{"sticky":"cookie"},"rates":[{"by":"client","per_second":1}],"overload":{"mode":"on"},"log":{"sample":1},"clients":null,"tls":"modern","traces":true}`,
	"POST /v2/apps/{app}/ports/":             `{"procfile_type":"web","port":9000,"listen":30001,"proxy":1}`,
	"POST /v2/apps/{app}/cutover/":           `{"strategy":"staged","steps":"1%,50%","pause":null}`,
	"POST /v2/apps/{app}/volumes/":           `{"name":"data","mounts":{"web":"/data"}}`,
	"POST /v2/stacks/":                       `{"name":"none","suite":"bookworm","packages":["bash"],"mirror":"http://example.com/","use":true}`,
	"POST /v2/images/gc/":                    `{"dry_run":true}`,
	"POST /v2/apps/{app}/images/quota/":      `{"mib":100}`,
	"POST /v2/stacks/use/":                   `{"stack":"none","name":"x"}`,
	"POST /v2/groups/":                       `{"name":"shared"}`,
	"POST /v2/groups/{name}":                 `{"values":{"A":"1"}}`,
	"POST /v2/apps/{app}/groups/":            `{"group":"n"}`,
	"POST /v2/apps/{app}/crons/":             `{"process":"nightly","schedule":"0 3 * * *","timezone":"Europe/Berlin","overlap":"allow","missed":"once","deadline":60,"paused":false}`,
	"POST /v2/hooks/config/":                 `{"receive_user":"ada","receive_repo":"blog"}`,
	"POST /v2/hooks/build/":                  `{"receive_user":"ada","receive_repo":"blog","sha":"12345678","image":"x","procfile":{},"dockerfile":""}`,
}

// nonsense is what no field takes, or takes without harm.
var nonsense = []string{
	`null`, `true`, `-1`, `1.5`, `1e400`, `99999999999999999999999999`, `""`, `"  "`, `"\u0000"`, `"a\u0000b"`, `"\ud800"`, `"☃ \u202e"`, `"{\"a\":"`, `"{\"a\":null}"`, `"null"`,
	`[]`, `[null]`, `[[1]]`, `{}`, `{"":""}`, `{"web":null}`, `{"web":{}}`, `{"web":[1]}`, `{"\u0000":"\u0000"}`, `{"a":1,"a":2}`, `{"WEB":"x","A B":"x"}`,
	`{"web/cmd":{"livenessProbe":[]}}`, `{"web":{"readinessProbe":{"httpGet":{"port":1e99}}}}`, `{"web":{"readinessProbe":{"exec":{"command":["\u0000"]}}}}`,
	`{"HEALTHCHECK_URL":"/","HEALTHCHECK_TIMEOUT":"99999999999999999999"}`, `{"A":{"B":"C"}}`,
	strings.Repeat("[", 500) + strings.Repeat("]", 500), strings.Repeat("[", 20000), strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200),
	`"` + strings.Repeat("é", 7000) + `"`, `{"` + strings.Repeat("k", 300) + `":"` + strings.Repeat("v", 132000) + `"}`,
}

// witness is a door whose store can be looked into from outside.
type witness struct {
	*door
	version func() int64 // counts the store's commits
	last    int64
}

func openWitness(t *testing.T) *witness {
	t.Helper()
	d := openStreet(t)
	db, err := sql.Open("sqlite", d.database) // the driver is the store's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w := &witness{door: d}
	w.version = func() (version int64) {
		// "modified by another connection": https://sqlite.org/pragma.html#pragma_data_version
		if err := conn.QueryRowContext(t.Context(), "PRAGMA data_version").Scan(&version); err != nil {
			t.Fatal(err)
		}
		return version
	}
	before := w.version()
	d.expect("ada", "POST", "/v2/apps/", `{"id":"adas"}`, 201, "") // who owns an app cannot be cancelled
	if w.last = w.version(); w.last == before {
		t.Fatal("a commit went unnoticed")
	}
	return w
}

// send asks as an administrator, the builder's key in hand, and fails the test
// when the answer is the server's fault, or no success and something was written.
func (w *witness) send(method, path, body string, problem func(string, ...any)) int {
	headers := []string{"X-Deis-Builder-Auth", builderKey}
	response := w.do("ada", method, path, body, headers...)
	data := read(response)
	if response.StatusCode >= 500 {
		problem("%s %s %.200s: %d %.200s", method, path, body, response.StatusCode, data)
	}
	now := w.version()
	deployed := strings.Contains(string(data), "(app::deploy)") // a failed release stays
	if now != w.last && response.StatusCode >= 400 && !deployed {
		problem("%s %s %.200s: %d %.200s, and something was written", method, path, body, response.StatusCode, data)
	}
	w.checkDescribed(method, path, response.StatusCode, response.Header.Get("Content-Type"), data)
	if response.StatusCode < 300 && method != "GET" {
		w.restore(path)
		now = w.version()
	}
	w.last = now
	return response.StatusCode
}

// restore gives back what a request took away from the next one.
func (w *witness) restore(path string) {
	switch {
	case strings.HasPrefix(path, "/v2/auth/cancel"):
		if w.status("bob", "GET", "/v2/auth/whoami/", "") == http.StatusUnauthorized {
			w.register("bob")
		}
	case strings.HasPrefix(path, "/v2/auth/tokens"):
		w.login("ada")
		w.login("bob")
	case path == "/v2/apps/blog/", strings.HasSuffix(path, "/rename/"):
		w.status("bob", "POST", "/v2/apps/", `{"id":"blog"}`)
	}
}

func TestNoFieldOfAnyRowCanBeSpoiledToHarm(t *testing.T) {
	t.Parallel()
	w := openWitness(t)
	for _, row := range server.Rows() {
		if row.Takes == nil {
			continue
		}
		name := row.Method + " " + row.Path
		whole := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(sound[name]), &whole); err != nil {
			t.Errorf("%s has no body in order: %v", name, err)
			continue
		}
		for _, field := range wireFields(row.Takes) {
			if _, ok := whole[field]; !ok {
				t.Errorf("%s: the body in order has no %s", name, field)
			}
		}
		for _, field := range slices.Sorted(maps.Keys(whole)) {
			for _, value := range nonsense {
				w.send(row.Method, fill(row.Path), spoiled(whole, field, value), t.Errorf)
			}
		}
		w.send(row.Method, fill(row.Path), spoiled(whole, "unknown", `{"a":[null]}`), t.Errorf)
		w.send(row.Method, fill(row.Path), spoiled(whole, "\u0000", `"\u0000"`), t.Errorf)
	}
	if log := w.logged(); strings.Contains(log, "request panicked") || strings.Contains(log, "request failed") {
		t.Error(log[:min(len(log), 4000)])
	}
}

// spoiled is the body with another value for one field. It is put together by
// hand: no encoder would write such values.
func spoiled(body map[string]json.RawMessage, field, value string) string {
	parts := []string{quote(field) + ":" + value}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if name != field {
			parts = append(parts, quote(name)+":"+string(body[name]))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func quote(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

// wireFields are the JSON names of a struct.
func wireFields(body any) []string {
	t := reflect.TypeOf(body)
	if t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func TestNoBodyPathOrMethodIsAServerError(t *testing.T) {
	t.Parallel()
	w := openWitness(t)
	bodies := []string{" ", "null", "true", `"x"`, "[", "{", `{"a":}`, "\x00", "\xff", `{"a":1}{"b":2}`, strings.Repeat("[", 20000), strings.Repeat(`{"a":`, 20000), "{\"\xff\":1}", `{"a":1,"a":1}`}
	for _, row := range server.Rows() {
		for _, body := range bodies {
			if row.Method != http.MethodGet && body != " " && body != "null" {
				if status := w.send(row.Method, fill(row.Path), body, t.Errorf); status < 400 {
					t.Errorf("%s %s takes %.100s", row.Method, row.Path, body)
				}
			}
		}
	}
	for _, path := range []string{
		"/v2/apps/?limit=%00&offset=%ff", "/v2/apps/blog/logs?log_lines=%00&source=%ff&process=%00", "/v2/apps/blog/run?command=%00", "/v2/apps/blog/run?command=x&rows=99999999&cols=-1&tty=2&term=%00",
		"/v2/apps/blog/domains/%E2%98%83", "/v2/keys/%2e%2e/%2e%2e", "/v2/apps/" + strings.Repeat("a", 8000), "/v2/apps/blog/pods/%2500/%252f", "/v2/apps/blog/perms/%E2%98%83", "/v2/certs/%20", "/v2/tokens/%2F",
		"/v2/certs/%E2%98%83/domain/%2A", "/v2/audit/?app=%00&user=%ff&event=%00&since=2016-10-18T20:29:38Z", "/v2/audit/?limit=99999999999999999999&offset=9223372036854775807", "/v2/hooks/key/%ff", "/v2/hooks/keys/blog/%01",
		"/v2/apps/blog/pods/web/x/exec?command=%ff", "/v2/admin/perms/%00",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "FROB"} {
			w.send(method, path, "", t.Errorf)
		}
	}
	if log := w.logged(); strings.Contains(log, "request panicked") || strings.Contains(log, "request failed") {
		t.Error(log[:min(len(log), 4000)])
	}
}

// anyJSON draws a value that is JSON, or nearly.
func anyJSON(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := 4
		if depth > 0 {
			kinds = 6
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom(nonsense).Draw(t, "nonsense")
		case 1:
			return quote(rapid.String().Draw(t, "text"))
		case 2:
			return fmt.Sprint(rapid.Int64().Draw(t, "number"))
		case 3:
			return fmt.Sprint(rapid.Float64().Draw(t, "float"))
		case 4:
			return "[" + strings.Join(rapid.SliceOfN(anyJSON(depth-1), 0, 3).Draw(t, "list"), ",") + "]"
		}
		names := rapid.SampledFrom([]string{"web", "A", "PORT", "web/cmd", "livenessProbe", "readinessProbe", "httpGet", "tcpSocket", "exec", "port", "path", "command", "min", "max", "cpu_percent", "a.b/c", "", "☃"})
		var parts []string
		for _, name := range rapid.SliceOfN(names, 0, 4).Draw(t, "names") {
			parts = append(parts, quote(name)+":"+anyJSON(depth-1).Draw(t, "value"))
		}
		return "{" + strings.Join(parts, ",") + "}"
	})
}

func TestDrawnBodiesDoNoHarm(t *testing.T) {
	t.Parallel()
	w := openWitness(t)
	var rows []server.Row
	for _, row := range server.Rows() {
		if row.Takes != nil {
			rows = append(rows, row)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.SampledFrom(rows).Draw(t, "row")
		whole := map[string]json.RawMessage{}
		_ = json.Unmarshal([]byte(sound[row.Method+" "+row.Path]), &whole)
		for range 5 {
			field := rapid.SampledFrom(append(slices.Sorted(maps.Keys(whole)), "unknown")).Draw(t, "field")
			w.send(row.Method, fill(row.Path), spoiled(whole, field, anyJSON(3).Draw(t, "value")), t.Errorf)
		}
	})
}
