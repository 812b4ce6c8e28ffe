package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestEveryAnswerCarriesTheVersions(t *testing.T) {
	d := open(t)
	for _, path := range []string{"/healthz", "/readiness", "/v2/", "/v2/apps/nope/", "/nowhere"} {
		header := d.do("", "GET", path, "").Header
		if got := header["Deis_api_version"]; len(got) != 1 || got[0] != "2.3" {
			t.Errorf("%s: API version %q", path, got)
		}
		if got := header["Deis_platform_version"]; len(got) != 1 || got[0] != "1.2.3" {
			t.Errorf("%s: platform version %q", path, got)
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /healthz HTTP/1.0\r\n\r\n")
	raw, _ := io.ReadAll(conn)
	if !strings.Contains(string(raw), "\r\nDEIS_API_VERSION: 2.3\r\n") {
		t.Errorf("the header's case is not kept: %s", raw)
	}
}

func TestATokenIsAskedForInTheContractsWords(t *testing.T) {
	d := open(t)
	for header, text := range map[string]string{
		"":               "Authentication credentials were not provided.",
		"Basic abc":      "Authentication credentials were not provided.",
		"token":          "Invalid token header. No credentials provided.",
		"Token a b":      "Invalid token header. Token string should not contain spaces.",
		"token deadbeef": "Invalid token.",
	} {
		response := d.do("", "GET", "/v2/", "", "Authorization", header)
		data, _ := io.ReadAll(response.Body)
		if response.StatusCode != 401 || string(data) != `{"detail":"`+text+`"}` || response.Header.Get("WWW-Authenticate") != "Token" {
			t.Errorf("%q: got %d %s %q", header, response.StatusCode, data, response.Header.Get("WWW-Authenticate"))
		}
	}
	d.expect("bob", "GET", "/v2/", "", 200, "{}")
	d.expect("", "GET", "/v2/", "", 200, "{}", "Authorization", "TOKEN "+tokenOf("bob"))
}

func TestPathsWorkWithAnySlashesAndNeverRedirect(t *testing.T) {
	d := open(t)
	for _, path := range []string{"/v2/apps/blog", "/v2/apps/blog/", "//v2//apps/blog/", "/v2/apps/blog//"} {
		d.expect("bob", "GET", path, "", 200, "")
	}
	d.expect("", "GET", "//v2/", "", 401, "")
	d.expect("bob", "GET", "/v2", "", 200, "{}")
	for _, path := range []string{"/", "/v2/apps/Blog/", "/v2/apps/b%00g/", "/v2/apps/../apps/", "/v2/apps/blog/releases/1/", "/v2/apps/blog/nothing/", "/v2/keys/%ff"} {
		body := d.expect("bob", "GET", path, "", 404, "")
		if !strings.Contains(body, "<h1>") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestMethodsThatAreNotThereAreNamed(t *testing.T) {
	d := open(t)
	d.expect("bob", "PUT", "/v2/apps/blog/", "{}", 405, `{"detail":"Method \"PUT\" not allowed."}`)
	d.expect("", "PUT", "/v2/apps/blog/", "{}", 401, "")
	d.expect("", "GET", "/v2/auth/login/", "", 405, `{"detail":"Method \"GET\" not allowed."}`)
	d.expect("", "POST", "/healthz", "", 405, "")
	d.expect("", "HEAD", "/healthz", "", 200, "")
	if allow := d.do("bob", "PUT", "/v2/apps/blog/", "").Header.Get("Allow"); allow != "DELETE, GET, HEAD, OPTIONS, POST" {
		t.Errorf("allow: %s", allow)
	}
}

func TestBodiesAreJSONOrNothing(t *testing.T) {
	d := open(t)
	d.expect("bob", "POST", "/v2/apps/blog/config/", "", 409, `{"detail":"bob changed nothing - release stopped"}`)
	d.expect("bob", "POST", "/v2/apps/blog/config/", "a=b", 415, `{"detail":"Unsupported media type \"text/plain\" in request."}`, "Content-Type", "text/plain")
	d.expect("bob", "POST", "/v2/apps/blog/config/", "", 409, "", "Content-Type", "text/plain")
	d.expect("bob", "POST", "/v2/apps/blog/config/", `{"values":{"A":1}}`, 201, "", "Content-Type", "application/json; charset=utf-8")
	d.expect("bob", "POST", "/v2/apps/blog/config/", "{", 400, `{"detail":"JSON parse error - unexpected end of JSON input"}`)
	d.expect("bob", "POST", "/v2/apps/blog/config/", "[]", 400, `{"non_field_errors":["Invalid data. Expected a dictionary, but got array."]}`)
	d.expect("bob", "POST", "/v2/apps/blog/config/", `{"values":{"A":"`+strings.Repeat("x", 1<<20)+`"}}`, 413, `{"detail":"The request's body is larger than 1048576 bytes."}`)
	d.expect("", "POST", "/v2/auth/login/", `{"username":"bob","password":"`+strings.Repeat("x", 32<<10)+`"}`, 413, `{"detail":"The request's body is larger than 32768 bytes."}`)
	d.expect("bob", "POST", "/v2/apps/nope/config/", "[]", 404, `"No App matches the given query."`)
	d.expect("carol", "POST", "/v2/apps/blog/config/", "{", 403, "")
}

func TestUsersRegisterLogInAndLeave(t *testing.T) {
	d := open(t)
	d.expect("", "POST", "/v2/auth/register/", `{}`, 400, `{"password":["This field is required."],"username":["This field is required."]}`)
	d.expect("", "POST", "/v2/auth/register/", `{"username":"","password":"","email":"x"}`, 400,
		`{"email":["Enter a valid email address."],"password":["This field may not be blank."],"username":["This field may not be blank."]}`)
	d.expect("", "POST", "/v2/auth/register/", `{"username":"b o b","password":"x","email":null}`, 400,
		`{"email":["This field may not be null."],"username":["Enter a valid username. This value may contain only letters, numbers and @/./+/-/_ characters."]}`)
	d.expect("", "POST", "/v2/auth/register/", `{"username":"bob","password":"x"}`, 400, `{"username":["A user with that username already exists."]}`)
	d.expect("", "POST", "/v2/auth/register/", `{"username":"dave","password":"x","email":"d@example.com","is_superuser":true}`, 201,
		`{"email":"d@example.com","username":"dave","first_name":"","last_name":"","is_superuser":false,"is_staff":false,"groups":[],"user_permissions":[],"last_login":"2016-10-18T20:29:38Z","date_joined":"2016-10-18T20:29:38Z","is_active":true}`,
		"Authorization", "token stale")
	d.expect("", "POST", "/v2/auth/login/", `{"username":"bob","password":"no"}`, 400, `{"non_field_errors":["Unable to log in with provided credentials."]}`)
	d.expect("", "POST", "/v2/auth/login/", `{"username":"bob","password":"secret"}`, 200, `{"token":"`+tokenOf("bob")+`"}`, "Authorization", "token a b c")
	d.expect("bob", "POST", "/v2/auth/passwd/", `{}`, 400, `{"detail":"new_password is a required field"}`)
	d.expect("bob", "POST", "/v2/auth/passwd/", `{"password":"secret"}`, 400, `{"detail":"new_password is a required field"}`)
	d.expect("bob", "POST", "/v2/auth/passwd/", `{"new_password":"n"}`, 400, `{"detail":"password is a required field"}`)
	d.expect("bob", "POST", "/v2/auth/passwd/", `{"new_password":"n","password":"wrong"}`, 401, `{"detail":"Current password does not match"}`)
	d.expect("bob", "POST", "/v2/auth/passwd/", `{"new_password":"n","username":"carol"}`, 403, `{"detail":"You do not have permission to perform this action."}`)
	d.expect("ada", "POST", "/v2/auth/passwd/", `{"new_password":"n","username":"bob"}`, 200, `{"status":"password set"}`)
	d.expect("ada", "POST", "/v2/auth/passwd/", `{"new_password":"n","username":"zoe"}`, 404, `"No User matches the given query."`)
	d.expect("bob", "POST", "/v2/auth/tokens/", `{}`, 200, `{"token":"`+tokenOf("bob")+`"}`)
	d.expect("bob", "POST", "/v2/auth/tokens/", `{"all":true}`, 403, "")
	d.expect("ada", "POST", "/v2/auth/tokens/", `{"all":true}`, 200, `""`)
	d.expect("bob", "GET", "/v2/users/", "", 403, "")
	users := d.expect("ada", "GET", "/v2/users/?limit=1&offset=1", "", 200, "")
	if !strings.Contains(users, `"count":4`) || !strings.Contains(users, `"username":"bob"`) {
		t.Error(users)
	}
	d.expect("carol", "DELETE", "/v2/auth/cancel/", `{"username":"bob"}`, 403, "")
	d.expect("carol", "DELETE", "/v2/auth/cancel/", ``, 204, "")
	d.expect("carol", "GET", "/v2/auth/whoami/", "", 401, "")
	d.expect("ada", "DELETE", "/v2/auth/cancel/", `{"username":"dave"}`, 204, "")
}

func TestAppsHaveTheContractsShape(t *testing.T) {
	d := open(t)
	d.expect("bob", "GET", "/v2/apps/blog/", "", 200,
		`{"uuid":"app-uuid","id":"blog","owner":"bob","structure":{},"created":"2016-10-18T20:29:38Z","updated":"2016-10-18T20:29:38Z","procfile_structure":{},"urls":["http://blog.localhost:8080"]}`)
	d.expect("bob", "GET", "/v2/apps/", "", 200,
		`{"count":1,"next":null,"previous":null,"results":[{"uuid":"app-uuid","id":"blog","owner":"bob","structure":{},"created":"2016-10-18T20:29:38Z","updated":"2016-10-18T20:29:38Z","procfile_structure":{}}]}`)
	d.expect("carol", "GET", "/v2/apps/", "", 200, `{"count":0,"next":null,"previous":null,"results":[]}`)
	d.expect("carol", "GET", "/v2/apps/blog/", "", 403, "")
	d.expect("bob", "GET", "/v2/apps/nope/", "", 404, `"No App matches the given query."`)
	d.expect("bob", "POST", "/v2/apps/", `{"id":null}`, 201, "")
	d.expect("bob", "POST", "/v2/apps/", ``, 201, "")
	d.expect("bob", "POST", "/v2/apps/", `{"id":""}`, 400, `{"id":["This field may not be blank."]}`)
	d.expect("bob", "POST", "/v2/apps/", `{"id":"blog"}`, 400, `{"id":["Application with this id already exists."]}`)
	d.expect("bob", "POST", "/v2/apps/", `{"id":"my.app"}`, 400, "")
	d.expect("bob", "POST", "/v2/apps/", `{"id":true}`, 400, `{"id":["Not a valid string."]}`)
	d.expect("carol", "DELETE", "/v2/apps/blog/", "", 403, "")
	d.expect("bob", "DELETE", "/v2/apps/blog/", "", 204, "")
	d.expect("bob", "GET", "/v2/apps/blog/", "", 404, "")
}

func TestPagesLinkToTheirNeighbours(t *testing.T) {
	d := open(t)
	for range 5 {
		d.expect("bob", "POST", "/v2/apps/", "", 201, "")
	}
	var page struct {
		Count          int
		Next, Previous *string
		Results        []struct{ ID string }
	}
	body := d.expect("bob", "GET", "/v2/apps/?limit=2&offset=2", "", 200, "")
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	base := d.url + "/v2/apps/"
	if page.Count != 6 || len(page.Results) != 2 || *page.Next != base+"?limit=2&offset=4" || *page.Previous != base+"?limit=2" {
		t.Error(body)
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=x", "limit=99999999999999999999", "limit=9223372036854775807&offset=-3", "limit=1.5"} {
		body := d.expect("bob", "GET", "/v2/apps/?"+query, "", 200, "")
		if !strings.HasPrefix(body, `{"count":6,"next":null,"previous":null,`) {
			t.Errorf("%s: %s", query, body)
		}
	}
	d.expect("bob", "GET", "/v2/apps/?offset=9223372036854775807", "", 200, "")
}

func TestConfigIsPatchedAndValidated(t *testing.T) {
	d := open(t)
	const path = "/v2/apps/blog/config/"
	body := d.expect("bob", "POST", path, `{"values":{"A":"1","N":2,"T":true,"F":1.5},"memory":"{\"web\":\"1G\"}","cpu":{"web":1},"termination_grace_period":{"web":"30"}}`, 201, "")
	for _, part := range []string{`"values":{"A":"1","F":"1.5","N":"2","T":"True"}`, `"memory":{"web":"1G"}`, `"cpu":{"web":"1"}`, `"tags":{}`, `"registry":{}`, `"healthcheck":{}`, `"termination_grace_period":{"web":"30"}`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
	d.expect("bob", "POST", path, `{"values":{"A":null}}`, 201, "")
	d.expect("bob", "POST", path, `{"values":{"A":null}}`, 422, `{"detail":"A does not exist under values"}`)
	d.expect("bob", "POST", path, `{"tags":{"x":null}}`, 422, `{"detail":"x does not exist under tags"}`)
	for body, message := range map[string]string{
		`{"values":null}`:                                                      `{"values":["This field may not be null."]}`,
		`{"values":{"1A":"x"}}`:                                                `{"values":["Config keys must start with a letter or underscore and only contain [A-z0-9_]"]}`,
		`{"values":{"PORT":"x"}}`:                                              `{"values":["PORT can only be a numeric value"]}`,
		`{"values":{"PORT":"70000"}}`:                                          `{"values":["PORT needs to be between 1 and 65535"]}`,
		`{"values":{"A":"\u0000"}}`:                                            `{"values":["Null characters are not allowed."]}`,
		`{"values":{"A":{}}}`:                                                  `{"values":["Not a valid string."]}`,
		`{"values":{"HEALTHCHECK_URL":"x"}}`:                                   `{"values":["HEALTHCHECK_URL is missing a URI path (such as /healthz). Without it no health check can be done"]}`,
		`{"values":{"HEALTHCHECK_URL":"/x?a=1"}}`:                              `{"values":["HEALTHCHECK_URL can only be a URI path (such as /healthz) that does not contain other things such as query params"]}`,
		`{"values":{"HEALTHCHECK_TIMEOUT":"x"}}`:                               `{"values":["HEALTHCHECK_TIMEOUT can only be a numeric value"]}`,
		`{"memory":{"web":"1T"}}`:                                              `{"memory":["Memory limit format: <number><unit> or <number><unit>/<number><unit>, where unit = B, K, M or G"]}`,
		`{"memory":{"We b":"1G"}}`:                                             `{"memory":["Process types can only contain lowercase alphanumeric characters"]}`,
		`{"cpu":{"web":"-1"}}`:                                                 `{"cpu":["CPU limit format: <value> or <value>/<value>, where value must be a numeric"]}`,
		`{"termination_grace_period":{"web":"x"}}`:                             `{"termination_grace_period":["Termination Grace Period format: <value>, where value must be a numeric"]}`,
		`{"termination_grace_period":{"web":"99999999999999999999"}}`:          `{"termination_grace_period":["A termination grace period is at most 86400 seconds"]}`,
		`{"healthcheck":{"web":{"livenessProbe":{"tcpSocket":{"port":"x"}}}}}`: `{"healthcheck":["could not validate {'tcpSocket': {'port': 'x'}}: 'x' is not of type 'integer'"]}`,
		`{"healthcheck":{"web":{"livenessProbe":{"grpc":{}}}}}`:                `{"healthcheck":["could not validate {'grpc': {}}: 'grpc' is not a known property"]}`,
		`{"healthcheck":{"web":{"aliveProbe":{}}}}`:                            `{"healthcheck":["Healthcheck keys must be either livenessProbe or readinessProbe"]}`,
		`{"healthcheck":{"web":{"livenessProbe":{"httpGet":{"path":"/"}}}}}`:   `{"healthcheck":["could not validate {'httpGet': {'path': '/'}}: 'port' is a required property"]}`,
	} {
		d.expect("bob", "POST", path, body, 400, message)
	}
}

func TestHealthchecksAreMergedProbeByProbe(t *testing.T) {
	d := open(t)
	const path = "/v2/apps/blog/config/"
	healthcheck := func(body string) string {
		t.Helper()
		var config struct{ Healthcheck json.RawMessage }
		if err := json.Unmarshal([]byte(d.expect("bob", "POST", path, body, 201, "")), &config); err != nil {
			t.Fatal(err)
		}
		return string(config.Healthcheck)
	}
	for _, step := range []struct{ body, want string }{
		{
			`{"healthcheck":{"web/cmd":{"livenessProbe":{"initialDelaySeconds":50,"httpGet":{"path":"/","port":5000}}}}}`,
			`{"web/cmd":{"livenessProbe":{"initialDelaySeconds":50,"httpGet":{"path":"/","port":5000}}}}`,
		},
		{
			`{"healthcheck":{"web/cmd":{"readinessProbe":{"exec":{"command":["/bin/true"]}}}}}`,
			`{"web/cmd":{"livenessProbe":{"initialDelaySeconds":50,"httpGet":{"path":"/","port":5000}},"readinessProbe":{"exec":{"command":["/bin/true"]}}}}`,
		},
		{`{"healthcheck":{"web/cmd":{"livenessProbe":null,"readinessProbe":null}}}`, `{"web/cmd":{}}`},
		{`{"healthcheck":{"web/cmd":null,"worker":{"readinessProbe":{"tcpSocket":{"port":1}}}}}`, `{"worker":{"readinessProbe":{"tcpSocket":{"port":1}}}}`},
		{
			`{"values":{"HEALTHCHECK_URL":"/up","HEALTHCHECK_TIMEOUT":"7"},"healthcheck":{"worker":null}}`,
			`{"web/cmd":{"livenessProbe":{"initialDelaySeconds":50,"timeoutSeconds":7,"periodSeconds":10,"successThreshold":1,"failureThreshold":3,"httpGet":{"path":"/up","port":0}},` +
				`"readinessProbe":{"initialDelaySeconds":50,"timeoutSeconds":7,"periodSeconds":10,"successThreshold":1,"failureThreshold":3,"httpGet":{"path":"/up","port":0}}}}`,
		},
	} {
		if got := healthcheck(step.body); got != step.want {
			t.Errorf("%s:\ngot  %s\nwant %s", step.body, got, step.want)
		}
	}
	if strings.Contains(d.expect("bob", "GET", path, "", 200, ""), "HEALTHCHECK") {
		t.Error("HEALTHCHECK_ values stayed")
	}
	d.expect("bob", "POST", path, `{"healthcheck":{"worker":{"livenessProbe":null}}}`, 422, `{"detail":"worker does not exist under healthcheck"}`)
}

func TestReleasesRollBack(t *testing.T) {
	d := open(t)
	d.expect("bob", "GET", "/v2/apps/blog/releases/v1/", "", 200,
		`{"uuid":"release-uuid","app":"blog","owner":"bob","created":"2016-10-18T20:29:38Z","updated":"2016-10-18T20:29:38Z","version":1,"summary":"bob created initial release","failed":false,"config":"config-uuid","build":null,"state":"succeeded","exception":""}`)
	for _, missing := range []string{"v2", "v0", "v99999999999999999999"} {
		d.expect("bob", "GET", "/v2/apps/blog/releases/"+missing, "", 404, `"No Release matches the given query."`)
	}
	const path = "/v2/apps/blog/releases/rollback/"
	d.expect("bob", "POST", path, `{"version":1}`, 400, `{"detail":"Cannot roll back to initial release."}`)
	d.expect("bob", "POST", path, `{"version":0}`, 400, `{"detail":"version cannot be below 0"}`)
	d.expect("bob", "POST", path, `{"version":"abc"}`, 400, `{"detail":"invalid literal for int() with base 10: 'abc'"}`)
	d.expect("bob", "POST", path, "", 201, `{"version":2}`)
	d.expect("bob", "POST", path, `{"version":"2"}`, 201, `{"version":3}`)
	d.expect("bob", "POST", "/v2/apps/blog/releases/", "{}", 405, "")
}

func TestAReceiptIsPartOfItsRelease(t *testing.T) {
	d := open(t)
	d.desk.apps["blog"].releases[0].Receipt = &platform.Receipt{From: 1, To: 2, Requests: 14233, P99Before: 2500 * time.Microsecond, Took: time.Second}
	body := d.expect("bob", "GET", "/v2/apps/blog/releases/v1/", "", 200, "")
	const want = `"receipt":{"from":1,"to":2,"requests":14233,"failed":0,"p99_before_ms":2.5,"p99_after_ms":0,"took_ms":1000,"undone":false,"reason":""}`
	if !strings.Contains(body, want) {
		t.Error(body)
	}
}

func TestPodsAreListedAndRestarted(t *testing.T) {
	d := open(t)
	d.expect("bob", "GET", "/v2/apps/blog/pods/", "", 200, `{"results":[],"count":0}`)
	d.expect("bob", "POST", "/v2/apps/blog/pods/ghost/restart/", "", 200, `[]`)
	d.desk.apps["blog"].instances = []platform.Instance{{
		ID: "blog-web-1499930585-14lrg", Process: "web", Release: 2, State: platform.InstanceUp,
		Started: born, Address: "127.0.0.1:4000", Isolation: platform.IsolationSandbox,
	}}
	const pod = `{"name":"blog-web-1499930585-14lrg","state":"up","release":"v2","type":"web","started":"2016-10-18T20:29:38Z","address":"127.0.0.1:4000","restarts":0,"crash_loop":false,"message":"","isolation":"sandbox"}`
	d.expect("bob", "GET", "/v2/apps/blog/pods/web/", "", 200, `{"results":[`+pod+`],"count":1}`)
	d.expect("bob", "POST", "/v2/apps/blog/pods/restart/", "", 200, `[`+pod+`]`)
	d.expect("bob", "POST", "/v2/apps/blog/pods/wrong/web-1499930585-14lrg/restart/", "", 200, `[`+pod+`]`)
	d.expect("bob", "GET", "/v2/apps/blog/pods/web/nope/", "", 200, `{"results":[],"count":0}`)
	d.desk.apps["blog"].instances[0].State = platform.InstanceTerminating
	d.expect("bob", "GET", "/v2/apps/blog/pods/", "", 200, `{"results":[`+strings.Replace(pod, `"up"`, `"terminating"`, 1)+`],"count":1}`)
}

func TestScaleTakesNumbersInAnyForm(t *testing.T) {
	d := open(t)
	const path = "/v2/apps/blog/scale/"
	d.expect("bob", "POST", path, `{"web":"2"}`, 204, "")
	d.expect("bob", "POST", path, `{}`, 204, "")
	d.expect("bob", "POST", path, `{"nope":1}`, 404, `{"detail":"Container type nope does not exist in application"}`)
	d.expect("bob", "POST", path, `{"web":"x"}`, 400, `{"detail":"Invalid scaling format: invalid literal for int() with base 10: 'x'"}`)
	d.expect("bob", "POST", path, `{"web":-1}`, 400, `{"detail":"Invalid scaling format: ['Must be greater than or equal to zero']"}`)
}

func TestDomainsKeysAndSettings(t *testing.T) {
	d := open(t)
	d.expect("bob", "POST", "/v2/apps/blog/domains/", `{"domain":"*.example.com"}`, 201,
		`{"owner":"bob","created":"2016-10-18T20:29:38Z","updated":"2016-10-18T20:29:38Z","app":"blog","domain":"*.example.com"}`)
	d.expect("bob", "DELETE", "/v2/apps/blog/domains/%2A.example.com", "", 204, "")
	d.expect("bob", "DELETE", "/v2/apps/blog/domains/x", "", 404, `"No Domain matches the given query."`)
	d.expect("bob", "POST", "/v2/apps/blog/domains/", `{}`, 400, `{"domain":["This field is required."]}`)

	d.expect("bob", "POST", "/v2/keys/", `{"id":"bob@laptop/2","public":" ssh-rsa AAAA bob "}`, 201,
		`{"uuid":"key-uuid","owner":"bob","created":"2016-10-18T20:29:38Z","updated":"2016-10-18T20:29:38Z","id":"bob@laptop/2","public":"ssh-rsa AAAA bob","fingerprint":"00:11"}`)
	d.expect("bob", "GET", "/v2/keys/bob@laptop%2F2", "", 200, "")
	d.expect("carol", "GET", "/v2/keys/bob@laptop/2", "", 404, `"No Key matches the given query."`)
	d.expect("bob", "DELETE", "/v2/keys/bob%40laptop/2", "", 204, "")
	d.expect("bob", "GET", "/v2/keys/", "", 200, `{"count":0,"next":null,"previous":null,"results":[]}`)

	d.expect("bob", "GET", "/v2/apps/blog/settings/", "", 200,
		`{"uuid":"settings-uuid","app":"blog","owner":"bob","autoscale":{},"label":{},"created":"2016-10-18T20:29:38Z","updated":"2016-10-18T20:29:38Z","maintenance":false,"routable":true,"whitelist":[],"deploy_branch":""}`)
	d.expect("bob", "POST", "/v2/apps/blog/settings/", `{"maintenance":"True","deploy_branch":"release"}`, 201, "")
	d.expect("bob", "POST", "/v2/apps/blog/settings/", `{"maintenance":true}`, 409, `{"detail":"bob changed nothing"}`)
	d.expect("bob", "POST", "/v2/apps/blog/settings/", `{"maintenance":"test"}`, 400, `{"maintenance":["\"test\" is not a valid boolean."]}`)
}

func TestAnImageIsDeployed(t *testing.T) {
	d := open(t)
	const path = "/v2/apps/blog/builds/"
	d.expect("bob", "GET", path, "", 200, `{"count":0,"next":null,"previous":null,"results":[]}`)
	d.expect("bob", "POST", path, `{}`, 400, `{"image":["This field is required."]}`)
	for _, image := range []string{"bob:hunter2@reg.example.com/x", "https://reg.example.com/x", "x@sha256:xyz"} {
		d.expect("bob", "POST", path, `{"image":"`+image+`"}`, 400, `{"image":["The given image is invalid"]}`)
	}
	d.expect("bob", "POST", path, `{"image":" "}`, 400, `{"image":["This field may not be blank."]}`)
	d.expect("bob", "POST", path, `{"image":"x","procfile":{"web":""},"sha":"`+strings.Repeat("a", 41)+`"}`, 400,
		`{"procfile":["Command can't be empty for process type"],"sha":["Ensure this field has no more than 40 characters."]}`)
	d.expect("bob", "POST", path, `{"image":"x","procfile":{"web":null,"W":"x"}}`, 400,
		`{"procfile":["Process types can only contain lowercase alphanumeric characters","Command can't be empty for process type"]}`)
	d.expect("bob", "POST", path, `{"image":"busy"}`, 400, `{"detail":"Deployment for blog-web is already in progress"}`)
	d.expect("bob", "POST", path, `{"image":"deis/example:1","procfile":{"web":"run","worker":"work"}}`, 201,
		`{"owner":"bob","app":"blog","image":"deis/example:1","pinned":"blog@sha256:1","kind":"image","ports":[8000],"size":1024,"sha":"","procfile":{"web":"run","worker":"work"},"dockerfile":"","created":"2016-10-18T20:29:38Z","updated":"2016-10-18T20:29:38Z","uuid":"build-uuid"}`)
	d.expect("bob", "POST", path, `{"image":"deis/example:1","procfile":null}`, 201, "")
	d.expect("bob", "GET", path+"none/", "", 404, `"No Build matches the given query."`)
}

func TestLogsAreTextAndNothingIs204(t *testing.T) {
	d := open(t)
	d.expect("bob", "GET", "/v2/apps/blog/logs", "", 204, "")
	d.expect("bob", "GET", "/v2/apps/nope/logs", "", 404, "")
	d.expect("bob", "GET", "/v2/apps/nope/logs?follow=1", "", 404, "")
	d.desk.apps["blog"].lines = []platform.LogLine{
		{At: born, App: "blog", Source: platform.LogController, Text: "INFO config blog-1cf0cea updated"},
		{At: born, App: "blog", Source: platform.LogApp, Process: "web", Release: 2, Instance: "blog-web-1499930585-x3ten", Text: "GET / 200"},
		{At: born, App: "blog", Source: platform.LogApp, Process: "router", Text: "GET / 200"},
	}
	d.expect("bob", "GET", "/v2/apps/blog/logs?log_lines=x", "", 200,
		"2016-10-18T20:29:38+00:00 deis[controller]: INFO config blog-1cf0cea updated\n2016-10-18T20:29:38+00:00 blog[web.v2.x3ten]: GET / 200\n"+
			"2016-10-18T20:29:38+00:00 blog[router]: GET / 200\n")
}

func TestFollowedLinesArriveOneByOne(t *testing.T) {
	d := open(t)
	response := d.do("bob", "GET", "/v2/apps/blog/logs?follow=true", "")
	if response.StatusCode != 200 {
		t.Fatal(response.Status)
	}
	lines := bufio.NewReader(response.Body)
	for _, text := range []string{"one", "two"} {
		d.desk.follow <- platform.LogLine{At: born, App: "blog", Source: platform.LogBuild, Text: text}
		line, err := lines.ReadString('\n')
		if err != nil || !strings.HasSuffix(line, "deis[build]: "+text+"\n") {
			t.Fatal(line, err)
		}
	}
	close(d.desk.follow)
	if rest, err := io.ReadAll(lines); err != nil || len(rest) != 0 {
		t.Fatal(string(rest), err)
	}
}

func TestARunAnswersOutputAndExitCode(t *testing.T) {
	d := open(t)
	d.expect("bob", "POST", "/v2/apps/blog/run", `{"command":"echo \"ü\" <&>"}`, 200, `{"exit_code":3,"output":"ran echo \"ü\" <&>\nas bob\n"}`)
	d.expect("bob", "POST", "/v2/apps/blog/run", `{}`, 400, `{"detail":"command is a required field"}`)
	d.expect("bob", "GET", "/v2/apps/blog/run?command=sh", "", 426, "")
	d.expect("carol", "GET", "/v2/apps/blog/run?command=sh", "", 403, "")
}

func TestAnAttachedRunCarriesInputAndExitCode(t *testing.T) {
	d := open(t)
	header := http.Header{"Authorization": {"token " + tokenOf("bob")}}
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(d.url, "http")+"/v2/apps/blog/run?command=cat&tty=1&rows=24&cols=80&term=xterm",
		&websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	exit, err := attach.Join(t.Context(), conn, platform.IO{Stdin: strings.NewReader("hello"), Stdout: &out, Stderr: &out})
	if err != nil || exit != 3 || !strings.Contains(out.String(), "read hello, terminal true") {
		t.Fatal(exit, err, out.String())
	}
}

func TestPlatformAndDoctor(t *testing.T) {
	d := open(t)
	d.expect("carol", "GET", "/v2/platform", "", 200,
		`{"version":"1.2.3","domain":"localhost","api_url":"http://slipway.localhost:8080","git_ssh":"ssh://git@localhost:2222","git_http":"http://git.localhost:8080","edge_http_port":8080,"edge_https_port":0,"engine":"local","runtime":"process","isolation":"sandbox"}`)
	d.expect("carol", "GET", "/v2/metrics", "", 403, "")
	d.expect("ada", "GET", "/v2/metrics", "", 200, "slipway_requests_total 7\n")
	d.expect("carol", "GET", "/v2/doctor", "", 403, "")
	d.expect("ada", "GET", "/v2/doctor", "", 200, `[{"name":"git","status":"ok","text":"git version 2.39","cure":""}]`)
	d.desk.down = errors.New("no database")
	d.expect("", "GET", "/readiness", "", 503, "")
	d.expect("", "GET", "/healthz", "", 200, "OK")
}

func TestAPanicIsA500ThatTellsNothing(t *testing.T) {
	d := open(t)
	d.desk.panics = "the password is hunter2"
	d.expect("bob", "GET", "/v2/apps/blog/", "", 500, `{"detail":"Server Error"}`)
	if log := d.logged(); !strings.Contains(log, "request panicked") || strings.Contains(log, "hunter2") {
		t.Error(log)
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	d := open(t)
	d.expect("bob", "GET", "/v2/apps/blog/logs?token=hunter2", "", 204, "")
	d.expect("bob", "POST", "/v2/apps/blog/config/", `{"values":{"KEY":"hunter2"}}`, 201, "")
	log := d.logged()
	if strings.Contains(log, "hunter2") || strings.Contains(log, tokenOf("bob")) {
		t.Error(log)
	}
	if !strings.Contains(log, "path=/v2/apps/blog/config/") {
		t.Error("no access log")
	}
}
