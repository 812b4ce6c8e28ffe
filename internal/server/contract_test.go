package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAppsAreSharedByRole(t *testing.T) {
	d := open(t)
	const perms = "/v2/apps/blog/perms/"
	d.expect("bob", "GET", perms, "", 200, `{"users":[],"roles":{}}`)
	d.expect("carol", "GET", perms, "", 403, "")
	d.expect("bob", "POST", perms, `{}`, 400, `{"username":["This field is required."]}`)
	d.expect("bob", "POST", perms, `{"username":"carol","role":"owner"}`, 400, `{"role":["A role is one of viewer, deployer, operator and admin."]}`)
	d.expect("bob", "POST", perms, `{"username":"zoe"}`, 404, `"No User matches the given query."`)
	if body := d.expect("bob", "POST", perms, `{"username":"carol"}`, 201, ""); body != "" {
		t.Errorf("a body: %s", body)
	}
	d.expect("bob", "GET", perms, "", 200, `{"users":["carol"],"roles":{"carol":"operator"}}`)
	d.expect("carol", "POST", "/v2/apps/blog/config/", `{"values":{"A":"1"}}`, 201, "")
	d.expect("carol", "POST", perms, `{"username":"dave"}`, 403, "")
	d.expect("carol", "DELETE", "/v2/apps/blog/", "", 403, "")
	d.expect("bob", "POST", perms, `{"username":"carol","role":"viewer"}`, 201, "")
	d.expect("carol", "GET", "/v2/apps/blog/config/", "", 403, "")
	d.expect("bob", "DELETE", perms+"a.b+c@x_y-z", "", 404, `"No User matches the given query."`)
	d.expect("bob", "DELETE", perms+"dave", "", 403, "")
	d.expect("carol", "DELETE", perms+"carol/", "", 204, "")
	d.expect("carol", "GET", "/v2/apps/blog/", "", 403, "")
}

func TestAnAppIsGivenAwayAndRenamed(t *testing.T) {
	d := open(t)
	if body := d.expect("bob", "POST", "/v2/apps/blog/", `{}`, 200, ""); body != "" {
		t.Errorf("a body: %s", body)
	}
	d.expect("bob", "POST", "/v2/apps/blog/rename/", `{}`, 400, `{"id":["This field is required."]}`)
	d.expect("bob", "POST", "/v2/apps/blog/rename/", `{"id":"-x"}`, 400,
		`{"id":["App name must start with an alphabetic character, cannot end with a hyphen and can only contain a-z (lowercase), 0-9 and hyphens."]}`)
	if body := d.expect("bob", "POST", "/v2/apps/blog/rename/", `{"id":"site"}`, 200, ""); !strings.Contains(body, `"id":"site"`) || !strings.Contains(body, `"urls":["http://site.localhost:8080"]`) {
		t.Error(body)
	}
	d.expect("bob", "GET", "/v2/apps/blog/", "", 404, "")
	d.expect("bob", "POST", "/v2/apps/site/", `{"owner":"zoe"}`, 404, `"No User matches the given query."`)
	d.expect("bob", "POST", "/v2/apps/site/", `{"owner":null}`, 400, `{"owner":["This field may not be null."]}`)
	d.expect("carol", "POST", "/v2/apps/site/", `{"owner":"carol"}`, 403, "")
	d.expect("bob", "POST", "/v2/apps/site/", `{"owner":"carol"}`, 200, "")
	d.expect("bob", "GET", "/v2/apps/site/", "", 403, "")
	d.expect("carol", "GET", "/v2/apps/site/", "", 200, "")
}

func TestAdministratorsAreMadeAndUnmade(t *testing.T) {
	d := open(t)
	const perms = "/v2/admin/perms/"
	for _, try := range [][2]string{{"GET", perms}, {"POST", perms}, {"DELETE", perms + "bob"}} {
		d.expect("bob", try[0], try[1], "", 403, `{"detail":"You do not have permission to perform this action."}`)
	}
	d.expect("ada", "GET", perms, "", 200, `{"count":1,"next":null,"previous":null,"results":[{"username":"ada","is_superuser":true}]}`)
	d.expect("ada", "POST", perms, `{}`, 400, `{"username":["This field is required."]}`)
	d.expect("ada", "POST", perms, `{"username":"zoe"}`, 404, `"No User matches the given query."`)
	if body := d.expect("ada", "POST", perms, `{"username":"bob"}`, 201, ""); body != "" {
		t.Errorf("a body: %s", body)
	}
	d.expect("bob", "GET", "/v2/users/", "", 200, "")
	d.expect("ada", "DELETE", perms+"bob", "", 204, "")
	d.expect("ada", "DELETE", perms+"carol", "", 204, "")
	d.expect("ada", "DELETE", perms+"zo.e", "", 404, `"No User matches the given query."`)
}

func TestCertificatesAreKeptAndAttached(t *testing.T) {
	d := open(t)
	const certs = "/v2/certs/"
	d.expect("bob", "GET", certs, "", 200, `{"count":0,"next":null,"previous":null,"results":[]}`)
	d.expect("bob", "POST", certs, `{"name":"A b"}`, 400,
		`{"certificate":["This field is required."],"key":["This field is required."],"name":["Can only contain a-z (lowercase), 0-9 and hyphens"]}`)
	d.expect("bob", "POST", certs, `{"name":"mine","certificate":"x","key":"y"}`, 400, `{"certificate":["Could not load certificate: no PEM"]}`)
	const made = `{"id":1,"owner":"bob","domains":[],"san":[],"created":"2016-10-18T20:29:38Z","updated":"2016-10-18T20:29:38Z","name":"mine","common_name":null,` +
		`"fingerprint":"8F:8E","expires":"2016-10-18T20:29:38Z","starts":"2016-10-18T20:29:38Z","issuer":"/CN=x","subject":"/CN=x"}`
	d.expect("bob", "POST", certs, `{"name":"mine","certificate":"-----BEGIN CERTIFICATE-----","key":"y"}`, 201, made)
	d.expect("bob", "GET", certs+"mine", "", 200, made)
	d.expect("carol", "GET", certs+"mine", "", 404, `"No Certificate matches the given query."`)
	d.expect("bob", "POST", certs+"mine/domain/", `{}`, 400, `{"detail":"domain is a required field"}`)
	d.expect("bob", "POST", certs+"none/domain/", `{"domain":"none"}`, 404, `"No Certificate matches the given query."`)
	d.expect("bob", "POST", certs+"mine/domain/", `{"domain":"none"}`, 404, `"No Domain matches the given query."`)
	if body := d.expect("bob", "POST", certs+"mine/domain/", `{"domain":"blog"}`, 201, ""); body != "" {
		t.Errorf("a body: %s", body)
	}
	d.expect("bob", "POST", certs+"mine/domain/", `{"domain":"blog"}`, 409, `{"detail":"Domain already has a certificate attached to it"}`)
	d.expect("bob", "DELETE", certs+"mine/domain/none", "", 404, `"No Domain matches the given query."`)
	d.expect("bob", "DELETE", certs+"mine/domain/blog", "", 204, "")
	d.expect("bob", "DELETE", certs+"mine/", "", 204, "")
	d.expect("bob", "DELETE", certs+"mine", "", 404, `"No Certificate matches the given query."`)
}

func TestTheEdgeOfAnAppIsChosen(t *testing.T) {
	d := open(t)
	const tls = "/v2/apps/blog/tls/"
	body := `{"uuid":"tls-uuid","app":"blog","owner":"bob","created":"2016-10-18T20:29:38Z","updated":"2016-10-18T20:29:38Z","https_enforced":%s}`
	d.expect("bob", "GET", tls, "", 200, fmt.Sprintf(body, "null"))
	d.expect("bob", "POST", tls, `{}`, 400, `{"https_enforced":["This field is required."]}`)
	d.expect("bob", "POST", tls, `{"https_enforced":null}`, 400, `{"https_enforced":["This field may not be null."]}`)
	d.expect("bob", "POST", tls, `{"https_enforced":"maybe"}`, 400, `{"https_enforced":["\"maybe\" is not a valid boolean."]}`)
	d.expect("bob", "POST", tls, `{"https_enforced":true}`, 201, fmt.Sprintf(body, "true"))
	d.expect("bob", "POST", tls, `{"https_enforced":true}`, 409, `{"detail":"bob changed nothing"}`)

	const list = "/v2/apps/blog/whitelist/"
	d.expect("bob", "GET", list, "", 200, `{"addresses":[]}`)
	d.expect("bob", "POST", list, `{}`, 400, `{"addresses":["This field is required."]}`)
	d.expect("bob", "POST", list, `{"addresses":[]}`, 400, `{"addresses":["This list may not be empty."]}`)
	d.expect("bob", "POST", list, `{"addresses":["1.2.3.4.5"]}`, 400, `{"addresses":["The address 1.2.3.4.5 is not valid"]}`)
	d.expect("bob", "POST", list, `{"addresses":["1.2.3.4","10.0.0.5/8"]}`, 201, `{"addresses":["1.2.3.4","10.0.0.5/8"]}`)
	d.expect("bob", "POST", list, `{"addresses":["1.2.3.4"]}`, 409, `{"detail":"bob changed nothing"}`)
	d.expect("bob", "DELETE", list, `{"addresses":["9.9.9.9"]}`, 422, `{"detail":"addresses {'9.9.9.9'} does not exist in whitelist"}`)
	d.expect("bob", "DELETE", list, `{"addresses":["1.2.3.4"]}`, 204, "")
	d.expect("bob", "GET", list, "", 200, `{"addresses":["10.0.0.5/8"]}`)

	const services = "/v2/apps/blog/services/"
	d.expect("bob", "GET", services, "", 200, `{"services":[]}`)
	d.expect("bob", "POST", services, `{"procfile_type":"We b"}`, 400,
		`{"path_pattern":["This field is required."],"procfile_type":["Process types can only contain lowercase alphanumeric characters"]}`)
	const hooks = `{"procfile_type":"webhooks","path_pattern":"~ ^/users/[0-9]+/hook,/notify"}`
	d.expect("bob", "POST", services, hooks, 201, "")
	d.expect("bob", "POST", services, hooks, 204, "")
	d.expect("bob", "GET", services, "", 200, `{"services":[`+hooks+`]}`)
	d.expect("bob", "DELETE", services, `{}`, 400, `{"procfile_type":["This field is required."]}`)
	d.expect("bob", "DELETE", services, `{"procfile_type":"webhooks"}`, 204, "")
	d.expect("bob", "DELETE", services, `{"procfile_type":"webhooks"}`, 404, "")
}

func TestSettingsAreChecked(t *testing.T) {
	d := open(t)
	const path = "/v2/apps/blog/settings/"
	for body, message := range map[string]string{
		`{"autoscale":{"web":{"min":1}}}`:                                 `{"autoscale":["could not validate {'min': 1}: 'max' is a required property"]}`,
		`{"autoscale":{"web":{"min":1,"max":2}}}`:                         `{"autoscale":["could not validate {'min': 1, 'max': 2}: 'cpu_percent' is a required property"]}`,
		`{"autoscale":{"web":{"min":"1","max":2,"cpu_percent":5}}}`:       `{"autoscale":["could not validate {'min': '1', 'max': 2, 'cpu_percent': 5}: '1' is not of type 'integer'"]}`,
		`{"autoscale":{"web":{"min":3,"max":2,"cpu_percent":5}}}`:         `{"autoscale":["could not validate {'min': 3, 'max': 2, 'cpu_percent': 5}: 'min' is more than 'max'"]}`,
		`{"autoscale":{"web":{"min":1,"max":1001,"cpu_percent":5}}}`:      `{"autoscale":["could not validate {'min': 1, 'max': 1001, 'cpu_percent': 5}: 'min' and 'max' must be between 1 and 1000"]}`,
		`{"autoscale":{"web":{"MIN":1,"min":1,"max":1,"cpu_percent":5}}}`: `{"autoscale":["could not validate {'MIN': 1, 'min': 1, 'max': 1, 'cpu_percent': 5}: 'MIN' is not a known property"]}`,
		`{"autoscale":{"web":[true,null,"it's"]}}`:                        `{"autoscale":["could not validate [True, None, \"it's\"]: [True, None, \"it's\"] is not of type 'object'"]}`,
		`{"autoscale":{"W":null}}`:                                        `{"autoscale":["Process types can only contain lowercase alphanumeric characters"]}`,
		`{"whitelist":[]}`:                                                `{"whitelist":["This list may not be empty."]}`,
		`{"whitelist":"10.0.0.1"}`:                                        `{"whitelist":["Expected a list of items."]}`,
		`{"whitelist":[["10.0.0.1"]]}`:                                    `{"whitelist":["Not a valid string."]}`,
		`{"label":[]}`:                                                    `{"label":["Expected an object of names and values."]}`,
		`{"label":{"":1}}`:                                                `{"label":["This field may not be blank."]}`,
		`{"label":{"a":["\u0000"]}}`:                                      `{"label":["Null characters are not allowed."]}`,
		`{"maintenance":"test","routable":[]}`:                            `{"maintenance":["\"test\" is not a valid boolean."],"routable":["\"[]\" is not a valid boolean."]}`,
	} {
		d.expect("bob", "POST", path, body, 400, message)
	}
	body := d.expect("bob", "POST", path, `{"label":{"git_repo":"x","n":1.50,"o":{"a":[true,null]}},"autoscale":{"web":{"min":1,"max":2,"cpu_percent":40}}}`, 201, "")
	for _, part := range []string{`"label":{"git_repo":"x","n":1.50,"o":{"a":[true,null]}}`, `"autoscale":{"web":{"min":1,"max":2,"cpu_percent":40}}`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
	d.expect("bob", "POST", path, `{"label":{"not_exist":null}}`, 422, `{"detail":"not_exist does not exist under label"}`)
	d.expect("bob", "POST", path, `{"autoscale":{"ghost":null}}`, 422, `{"detail":"ghost does not exist under autoscale"}`)
	if body := d.expect("bob", "POST", path, `{"autoscale":{"web":null}}`, 201, ""); !strings.Contains(body, `"autoscale":{}`) {
		t.Error(body)
	}
}

func TestTagsRegistryAndLifecycleAreChecked(t *testing.T) {
	d := open(t)
	const path = "/v2/apps/blog/config/"
	long := strings.Repeat("a", 64)
	for body, message := range map[string]string{
		`{"tags":{"` + strings.Repeat("a.", 127) + `a/x":"y"}}`: `{"tags":["Tag key prefixes must 253 characters or less."]}`,
		`{"tags":{"a..b/x":"y"}}`:                               `{"tags":["Tag key prefixes must be DNS subdomains."]}`,
		`{"tags":{"/x":"y"}}`:                                   `{"tags":["Tag key prefixes must be DNS subdomains."]}`,
		`{"tags":{"` + long + `":"y"}}`:                         `{"tags":["Tag keys must be alphanumeric or \"-_.\", and 1-63 characters."]}`,
		`{"tags":{"a/b/c":"y"}}`:                                `{"tags":["Tag keys must be alphanumeric or \"-_.\", and 1-63 characters."]}`,
		`{"tags":{"x":"` + long + `"}}`:                         `{"tags":["Tag values must be alphanumeric or \"-_.\", and 1-63 characters."]}`,
		`{"tags":{"x":"-y"}}`:                                   `{"tags":["Tag values must be alphanumeric or \"-_.\", and 1-63 characters."]}`,
		`{"tags":null}`:                                         `{"tags":["This field may not be null."]}`,
		`{"registry":{"1":"x"}}`:                                `{"registry":["Config keys must start with a letter or underscore and only contain [A-z0-9_]"]}`,
		`{"registry":{"User":"x","user":"y"}}`:                  `{"registry":["user comes twice"]}`,
		`{"lifecycle_post_start":{"W":"x"}}`:                    `{"lifecycle_post_start":["Process types can only contain lowercase alphanumeric characters"]}`,
		`{"lifecycle_pre_stop":{"web":" "}}`:                    `{"lifecycle_pre_stop":["Command can't be empty for process type"]}`,
	} {
		d.expect("bob", "POST", path, body, 400, message)
	}
	body := d.expect("bob", "POST", path, `{"tags":{"example.com/environ":"dev","empty":""},"registry":{"Username":"bob","password":5},"lifecycle_pre_stop":{"web":"sleep 1"},"lifecycle_post_start":{"web":"true"}}`, 201, "")
	for _, part := range []string{
		`"tags":{"empty":"","example.com/environ":"dev"}`, `"registry":{"password":"5","username":"bob"}`,
		`"lifecycle_pre_stop":{"web":"sleep 1"}`, `"lifecycle_post_start":{"web":"true"}`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
	d.expect("bob", "POST", path, `{"tags":{"x":null}}`, 422, `{"detail":"x does not exist under tags"}`)
	d.expect("bob", "POST", path, `{"registry":{"USERNAME":null}}`, 201, "")
}

func TestTheBuilderAsksWithItsKey(t *testing.T) {
	d := open(t)
	key := []string{"X-Deis-Builder-Auth", builderKey}
	for _, path := range []string{"/v2/hooks/key/00:11", "/v2/hooks/keys/blog", "/v2/hooks/keys/blog/bob"} {
		for _, wrong := range []string{"", " ", "x", builderKey + "x"} {
			d.expect("", "GET", path, "", 401, `{"detail":"Authentication credentials were not provided."}`, "X-Deis-Builder-Auth", wrong)
			d.expect("bob", "GET", path, "", 403, `{"detail":"You do not have permission to perform this action."}`, "X-Deis-Builder-Auth", wrong)
		}
	}
	d.expect("", "POST", "/v2/hooks/build/", `{`, 401, "")
	d.expect("ada", "POST", "/v2/hooks/config/", `{`, 403, "")
	d.expect("", "GET", "/v2/hooks/push", "", 404, "", key...)

	d.expect("", "GET", "/v2/hooks/key/00:11", "", 404, `"No Key matches the given query."`, key...)
	d.expect("bob", "POST", "/v2/keys/", `{"id":"k","public":"ssh-rsa AAAA bob"}`, 201, "")
	d.expect("", "GET", "/v2/hooks/key/00:11", "", 200, `{"username":"bob","apps":["blog"]}`, key...)
	d.expect("", "GET", "/v2/hooks/keys/blog", "", 200, `{}`, key...)
	d.expect("", "GET", "/v2/hooks/keys/nope", "", 404, `"No App matches the given query."`, key...)
	d.expect("bob", "POST", "/v2/apps/blog/perms/", `{"username":"carol","role":"viewer"}`, 201, "")
	d.expect("", "GET", "/v2/hooks/keys/blog", "", 200, `{}`, key...)
	d.expect("", "GET", "/v2/hooks/keys/blog/carol", "", 403, "", key...)
	d.expect("bob", "POST", "/v2/apps/blog/perms/", `{"username":"carol","role":"deployer"}`, 201, "")
	d.expect("", "GET", "/v2/hooks/keys/blog", "", 200, `{"carol":[]}`, key...)
	d.expect("", "GET", "/v2/hooks/keys/blog/carol", "", 404, `{"detail":"No Keys match the given query."}`, key...)
	d.expect("", "GET", "/v2/hooks/keys/blog/bob", "", 200, `{"bob":[{"key":"ssh-rsa AAAA bob","fingerprint":"00:11"}]}`, key...)
	d.expect("", "GET", "/v2/hooks/keys/blog/zoe", "", 404, `"No User matches the given query."`, key...)

	d.expect("", "POST", "/v2/hooks/config/", `{"receive_user":"zoe","receive_repo":"blog"}`, 404, `"No User matches the given query."`, key...)
	d.expect("", "POST", "/v2/hooks/config/", `{"receive_user":"bob","receive_repo":"no/pe"}`, 404, `"No App matches the given query."`, key...)
	d.expect("", "POST", "/v2/hooks/config/", `{"receive_repo":"blog"}`, 400, `{"receive_user":["This field is required."]}`, key...)
	if body := d.expect("", "POST", "/v2/hooks/config/", `{"receive_user":"carol","receive_repo":"blog"}`, 200, "", key...); !strings.Contains(body, `"uuid":"config-uuid"`) {
		t.Error(body)
	}
	d.expect("", "POST", "/v2/hooks/build/", `{"receive_user":"carol","receive_repo":"blog"}`, 400, `{"image":["This field is required."]}`, key...)
	const build = `{"receive_user":"carol","receive_repo":"blog","sha":"12345678","image":"blog","procfile":{"web":"run"},"dockerfile":"true"}`
	d.expect("", "POST", "/v2/hooks/build/", build, 200, `{"release":{"version":2}}`, key...)
	if body := d.expect("bob", "GET", "/v2/apps/blog/builds/", "", 200, ""); !strings.Contains(body, `"owner":"carol"`) || !strings.Contains(body, `"dockerfile":"true"`) {
		t.Error(body)
	}
	if body := d.expect("bob", "GET", "/v2/apps/blog/", "", 200, ""); !strings.Contains(body, `"procfile_structure":{"web":0}`) {
		t.Error(body)
	}
}

func TestANamedTokenReachesWhatItIsBoundTo(t *testing.T) {
	d := open(t)
	const tokens = "/v2/tokens/"
	d.expect("bob", "GET", tokens, "", 200, `{"count":0,"next":null,"previous":null,"results":[]}`)
	d.expect("bob", "POST", tokens, `{"name":"a b","role":"king","apps":[],"expires_in":-1}`, 400,
		`{"apps":["This list may not be empty."],"expires_in":["Seconds, from 0, which is never, to 315360000."],"role":["A role is one of viewer, deployer, operator and admin."]}`)
	const ci = `"name":"ci","role":"viewer","apps":["blog"],"created":"2016-10-18T20:29:38Z","expires":"2016-10-18T20:30:38Z","last_used":null`
	d.expect("bob", "POST", tokens, `{"name":"ci","role":"viewer","apps":["blog"],"expires_in":60}`, 201, `{`+ci+`,"token":"`+strings.Repeat("C", 40)+`"}`)
	d.expect("bob", "POST", tokens, `{"name":"ci"}`, 400, `{"name":["A token with this name already exists."]}`)
	d.expect("bob", "GET", tokens, "", 200, `{"count":1,"next":null,"previous":null,"results":[{`+ci+`}]}`)
	d.expect("carol", "DELETE", tokens+"ci", "", 404, `"No Token matches the given query."`)

	shown := []string{"Authorization", "token " + strings.Repeat("C", 40)}
	d.expect("", "GET", "/v2/apps/blog/", "", 200, "", shown...)
	d.expect("", "GET", "/v2/auth/whoami/", "", 200, "", shown...)
	for _, try := range [][2]string{
		{"GET", "/v2/keys/"},
		{"POST", "/v2/keys/"},
		{"GET", "/v2/certs/"},
		{"GET", tokens},
		{"POST", tokens},
		{"POST", "/v2/auth/passwd/"},
		{"POST", "/v2/auth/tokens/"},
		{"DELETE", "/v2/auth/cancel/"},
		{"POST", "/v2/apps/blog/config/"},
		{"DELETE", "/v2/apps/blog/"},
		{"GET", "/v2/users/"},
		{"GET", "/v2/doctor"},
		{"GET", "/v2/admin/perms/"},
	} {
		d.expect("", try[0], try[1], `{"values":{"A":"1"}}`, 403, "", shown...)
	}
	d.expect("bob", "DELETE", tokens+"ci", "", 204, "")
	d.expect("", "GET", "/v2/apps/blog/", "", 401, "", shown...)
}

func TestTheAuditTrailIsAsked(t *testing.T) {
	d := open(t)
	d.desk.trail = []platform.Event{
		{ID: 2, At: born, Name: "config.changed", App: "blog", User: "bob", From: "192.0.2.1", Token: "ci", Attrs: map[string]string{"keys": "A"}},
		{ID: 1, At: born, Name: "app.created", App: "blog", User: "bob"},
	}
	const second = `{"id":2,"at":"2016-10-18T20:29:38Z","event":"config.changed","app":"blog","user":"bob","from":"192.0.2.1","token":"ci","attrs":{"keys":"A"}}`
	const first = `{"id":1,"at":"2016-10-18T20:29:38Z","event":"app.created","app":"blog","user":"bob","from":"","token":"","attrs":{}}`
	d.expect("bob", "GET", "/v2/audit/", "", 403, "")
	d.expect("bob", "GET", "/v2/audit/?app=nope", "", 404, `"No App matches the given query."`)
	d.expect("bob", "GET", "/v2/audit/?app=blog", "", 200, `{"count":2,"next":null,"previous":null,"results":[`+second+`,`+first+`]}`)
	d.expect("ada", "GET", "/v2/audit/?event=app.created&user=bob&since=2016-01-01T00:00:00Z&until=2017-01-01T00:00:00%2B02:00", "", 200, `{"count":1,"next":null,"previous":null,"results":[`+first+`]}`)
	d.expect("ada", "GET", "/v2/audit/?until=2016-01-01T00:00:00Z", "", 200, `{"count":0,"next":null,"previous":null,"results":[]}`)
	d.expect("ada", "GET", "/v2/audit/?since=yesterday", "", 400, `{"since":["Write a time as in 2016-10-18T20:29:38Z."]}`)
	d.expect("ada", "GET", "/v2/audit/?user=%00", "", 200, `{"count":0,"next":null,"previous":null,"results":[]}`)
	if body := d.expect("ada", "GET", "/v2/audit/?limit=1", "", 200, ""); !strings.Contains(body, `"next":"`+d.url+`/v2/audit/?limit=1`) && !strings.Contains(body, `offset=1`) {
		t.Error(body)
	}
}

func TestACommandRunsInsideAnInstance(t *testing.T) {
	d := open(t)
	const path = "/v2/apps/blog/pods/web/blog-web-1499930585-14lrg/exec"
	d.expect("carol", "GET", path+"?command=sh", "", 403, "")
	d.expect("bob", "GET", path, "", 400, `{"detail":"command is a required field"}`)
	d.expect("bob", "GET", path+"?command=sh", "", 426, "")
	header := http.Header{"Authorization": {"token " + tokenOf("bob")}}
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(d.url, "http")+path+"?command=ls", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	exit, err := attach.Join(t.Context(), conn, platform.IO{Stdout: &out, Stderr: &out})
	if err != nil || exit != 4 || out.String() != "in blog-web-1499930585-14lrg: ls\n" {
		t.Fatal(exit, err, out.String())
	}
}

func TestPagesOfAnyOriginMayCallWithoutCookies(t *testing.T) {
	d := open(t)
	for _, c := range []struct {
		user, method, path string
		status             int
	}{
		{"bob", "GET", "/v2/apps/blog/", 200},
		{"", "GET", "/v2/", 401},
		{"", "GET", "/nowhere", 404},
		{"bob", "PUT", "/v2/apps/blog/", 405},
		{"", "OPTIONS", "/v2/apps/blog/", 204},
		{"", "OPTIONS", "/v2/hooks/build", 204},
		{"", "OPTIONS", "/nowhere", 404},
		{"", "GET", "/healthz", 200},
	} {
		response := d.do(c.user, c.method, c.path, "", "Origin", "https://dashboard.example.com", "Access-Control-Request-Method", "POST")
		_, _ = io.Copy(io.Discard, response.Body)
		h := response.Header
		if response.StatusCode != c.status || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" ||
			!strings.HasPrefix(h.Get("Access-Control-Expose-Headers"), "DEIS_API_VERSION, DEIS_PLATFORM_VERSION") || h["Deis_api_version"] == nil ||
			h.Get("X-Frame-Options") != "DENY" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-XSS-Protection") != "1; mode=block" || h.Get("Set-Cookie") != "" {
			t.Errorf("%s %s: %d %v", c.method, c.path, response.StatusCode, h)
		}
		if want := map[string]string{"OPTIONS": "content-type, accept, origin, Authorization, Host"}[c.method]; c.status != 404 && h.Get("Access-Control-Allow-Headers") != want {
			t.Errorf("%s %s allows headers %q", c.method, c.path, h.Get("Access-Control-Allow-Headers"))
		}
		if c.status != 404 && h.Get("Allow") == "" {
			t.Errorf("%s %s names no methods", c.method, c.path)
		}
	}
	if h := d.do("", "OPTIONS", "/v2/apps/blog/settings/", "").Header; h.Get("Access-Control-Allow-Methods") != "GET, HEAD, OPTIONS, POST" {
		t.Error(h)
	}
	d.expect("", "GET", "/v2/apps/blog/", "", 401, "", "Cookie", "token="+tokenOf("bob")+"; sessionid=x")
}

// leftDesk holds a verb until its asker has left.
type leftDesk struct {
	*memoryDesk
	asker chan context.Context // of the request
	ctx   chan error           // what the verb's context says then
}

func (d *leftDesk) Scale(ctx context.Context, _ platform.Caller, _ string, _ map[string]int) error {
	<-(<-d.asker).Done()
	d.ctx <- ctx.Err()
	return nil
}

func TestAChangeGoesOnWhenItsAskerLeaves(t *testing.T) {
	desk := &leftDesk{newMemoryDesk(), make(chan context.Context, 1), make(chan error, 1)}
	d := openAt(t, desk, newMemoryUsers())
	inner := d.web.Config.Handler
	d.web.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		desk.asker <- r.Context()
		inner.ServeHTTP(w, r)
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "POST /v2/apps/blog/scale/ HTTP/1.1\r\nHost: x\r\nAuthorization: token "+tokenOf("bob")+"\r\nContent-Length: 9\r\n\r\n{\"web\":2}")
	conn.Close()
	if err := <-desk.ctx; err != nil {
		t.Error(err)
	}
}

func TestNobodyIsABuilderWithoutAKey(t *testing.T) {
	d := openWith(t, newMemoryDesk(), newMemoryUsers(), "")
	d.expect("", "GET", "/v2/hooks/key/00:11", "", 401, "", "X-Deis-Builder-Auth", "")
	d.expect("ada", "GET", "/v2/hooks/key/00:11", "", 403, "")
}

func TestAPageOfAnotherSiteRegistersNobody(t *testing.T) {
	d := open(t)
	const eve = `{"username":"eve","password":"secret words"}`
	host := strings.TrimPrefix(d.url, "http://")
	for origin, want := range map[string]int{
		"https://evil.example.com": 403,
		"null":                     403,
		"http://" + host:           201,
	} {
		response := d.do("", "POST", "/v2/auth/register/", eve, "Origin", origin)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("a page of %s got %d, want %d", origin, response.StatusCode, want)
		}
	}
	rebound := d.do("", "POST", "/v2/auth/register/", eve, "Host", "evil.example.com", "Origin", "http://evil.example.com")
	rebound.Body.Close()
	if rebound.StatusCode != 403 {
		t.Errorf("a name that was led here got %d", rebound.StatusCode)
	}
}
