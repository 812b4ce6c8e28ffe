package cli_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/server"
)

const (
	t0         = "2016-10-18T10:00:00Z"
	secretPEM  = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
	newToken   = "5ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7"
	certAnswer = `{"id":1,"owner":"bob","domains":["www.foo.com"],"san":["foo.com","www.foo.com"],"created":"` + t0 + `","updated":"` + t0 + `","name":"shop",
		"common_name":"foo.com","fingerprint":"8F:8E","expires":"2017-01-21T21:56:15Z","starts":"2016-01-22T21:56:15Z","issuer":"/C=US/CN=CA","subject":"/CN=foo.com"}`
	wholeConfig = `{"uuid":"c2","app":"blog","owner":"bob","values":{"DEBUG":"1"},"memory":{"web":"512M"},"cpu":{"web":"500m"},"tags":{"disk":"ssd"},
		"registry":{"username":"bob","password":"s3cret"},"termination_grace_period":{"web":"30"},"lifecycle_post_start":{"web":"bin/warm"},"lifecycle_pre_stop":{"web":"sleep 5"},
		"healthcheck":{"web/cmd":{"livenessProbe":{"initialDelaySeconds":50,"timeoutSeconds":50,"periodSeconds":10,"successThreshold":1,"failureThreshold":3,"httpGet":{"path":"/","port":5000,"httpHeaders":[{"name":"X","value":"1"}]}},
		"readinessProbe":{"exec":{"command":["/bin/true","a b"]}}}},"created":"` + t0 + `","updated":"` + t0 + `"}`
	wholeSettings = `{"uuid":"s","app":"blog","owner":"bob","autoscale":{"web":{"min":1,"max":4,"cpu_percent":60}},"label":{"team":"search","size":3},
		"created":"` + t0 + `","updated":"` + t0 + `","maintenance":false,"routable":true,"whitelist":["10.0.0.0/8"]}`
	wholeEdge = `{"timeouts":{"answer":"30s"},"deny":["10.0.0.0/8"],"headers":{"X-Frame-Options":"DENY"},"pages":{"404":"<p>gone"},"auth":{"users":{"bob":"********"}},
		"redirects":[{"path":"/old","to":"https://example.com/new","status":301}],"log":{"sample":0}}`
	onePod = `{"name":"blog-web-0123456789-abcde","state":"up","release":"v3","type":"web","started":"2016-10-18T11:59:30Z"}`
	tlsOn  = `{"uuid":"t","app":"blog","owner":"bob","created":"` + t0 + `","updated":"` + t0 + `","https_enforced":true}`

	hostCertificates = `{"automatic":false,"hosts":[{"host":"www.foo.com","source":"platform","problem":"the authority refused","attempts":2,"next_try":"` + t0 + `"}]}`
)

func listOf(items ...string) string {
	return `{"count":` + string(rune('0'+len(items))) + `,"next":null,"previous":null,"results":[` + strings.Join(items, ",") + `]}`
}

// whole is a platform that answers every row of the contract.
func whole(t *testing.T) *contract {
	t.Helper()
	app := `{"uuid":"a","id":"blog","owner":"bob","structure":{"web":1},"created":"` + t0 + `","updated":"` + t0 + `","urls":["http://blog.localhost:8080"]}`
	release := `{"uuid":"r","app":"blog","owner":"bob","created":"` + t0 + `","updated":"` + t0 + `","version":3,"summary":"bob added DEBUG","failed":false,"config":"c2","build":"b1","state":"succeeded","exception":""}`
	build := `{"uuid":"b1","app":"blog","owner":"bob","image":"shop:1","sha":"","procfile":{"web":"bin/server"},"created":"` + t0 + `","updated":"` + t0 + `"}`
	user := `{"username":"bob","email":"bob@example.com","is_superuser":true,"is_active":true,"date_joined":"` + t0 + `","last_login":"` + t0 + `"}`
	key := `{"uuid":"k","id":"bob@laptop","public":"` + publicKey + `","fingerprint":"54:6d","created":"` + t0 + `"}`
	token := `"name":"ci","role":"deployer","apps":["blog"],"created":"` + t0 + `","expires":"2017-01-01T00:00:00Z","last_used":null`
	image := `{"image":"blog@sha256:4f1c2a","digest":"sha256:4f1c2a","kind":"slug","size":5000000,"wasted":1000000,"layers":[{"digest":"sha256:1","size":4000000,"shared":true},{"digest":"sha256:2","size":1000000,"shared":false}],"attached":[{"digest":"sha256:3","type":"application/spdx+json","size":900}],"builds":["u"],"releases":[2,3,5]}`
	stack := `{"name":"bookworm","image":"stack@sha256:1","source":"debian bookworm","system":"Debian GNU/Linux 12 (bookworm)","size":52000000,"in_force":true,"owner":"bob","created":"` + t0 + `","updated":"` + t0 + `"}`
	domain := `{"domain":"www.foo.com","app":"blog","owner":"bob","created":"` + t0 + `"}`
	answers := map[string]string{
		"POST /v2/auth/register/": "201 " + user, "POST /v2/auth/login/": `{"token":"` + newToken + `"}`, "GET /v2/auth/whoami/": user,
		"POST /v2/auth/passwd/": `{"status":"password set"}`, "POST /v2/auth/tokens/": `{"token":"` + newToken + `"}`, "DELETE /v2/auth/cancel/": "204 ",
		"GET /v2/users/": listOf(user), "GET /v2/admin/perms/": listOf(`{"username":"bob","is_superuser":true}`),
		"POST /v2/admin/perms/": "201 ", "DELETE /v2/admin/perms/carol": "204 ",
		"GET /v2/audit/":  listOf(`{"id":1,"at":"` + t0 + `","event":"config.changed","app":"blog","user":"bob","from":"127.0.0.1","token":"ci","attrs":{"keys":"A B"}}`),
		"GET /v2/tokens/": listOf("{" + token + "}"), "POST /v2/tokens/": "201 {" + token + `,"token":"` + newToken + `"}`, "DELETE /v2/tokens/ci": "204 ",
		"GET /v2/keys/": listOf(key), "POST /v2/keys/": "201 " + key, "GET /v2/keys/bob@laptop": key, "DELETE /v2/keys/bob@laptop": "204 ",
		"GET /v2/certs/": listOf(certAnswer), "POST /v2/certs/": "201 " + certAnswer, "GET /v2/certs/shop": certAnswer, "DELETE /v2/certs/shop": "204 ",
		"POST /v2/certs/shop/domain/": "201 ", "DELETE /v2/certs/shop/domain/www.foo.com": "204 ",
		"GET /v2/platform": platformAnswer, "GET /v2/doctor": `[{"name":"disk","status":"ok","text":"80 GB free","cure":""}]`,
		"GET /v2/metrics":     "# HELP a b\nslipway_requests_total{app=\"blog\",class=\"2xx\"} 7\n",
		"POST /v2/images/gc/": `{"dry_run":true,"blobs":2}`, "GET /v2/apps/blog/images/": `{"images":[` + image + `],"used":5000000,"quota":0}`,
		"GET /v2/apps/blog/images/sha256:4f1c2a/": image, "POST /v2/apps/blog/images/quota/": "204 ",
		"GET /v2/apps/blog/releases/v3/sbom/": `{"bomFormat":"CycloneDX"}`, "GET /v2/apps/blog/releases/v3/provenance/": `{"_type":"https://in-toto.io/Statement/v1"}`,
		"GET /v2/stacks/": listOf(stack), "POST /v2/stacks/": "201 " + `{"line":"==> Packing"}` + "\n" + `{"stack":` + stack + "}\n",
		"POST /v2/stacks/use/": stack, "DELETE /v2/stacks/bookworm/": "204 ", "POST /v2/apps/blog/rebase/": `201 {"version":3}`,
		"GET /v2/apps/": listOf(app), "POST /v2/apps/": "201 " + app, "GET /v2/apps/blog/": app, "POST /v2/apps/blog/": "", "DELETE /v2/apps/blog/": "204 ",
		"POST /v2/apps/blog/rename/": strings.Replace(app, `"blog"`, `"shop"`, 1),
		"GET /v2/apps/blog/perms/":   `{"users":["carol"],"roles":{"carol":"viewer"}}`, "POST /v2/apps/blog/perms/": "201 ", "DELETE /v2/apps/blog/perms/carol": "204 ",
		"GET /v2/apps/blog/logs": logAnswer, "POST /v2/apps/blog/run": `{"exit_code":0,"output":"hi\n"}`, "POST /v2/apps/blog/scale/": "204 ",
		"GET /v2/apps/blog/builds/": listOf(build), "POST /v2/apps/blog/builds/": "201 " + build, "GET /v2/apps/blog/builds/b1/": build,
		"GET /v2/apps/blog/config/": wholeConfig, "POST /v2/apps/blog/config/": "201 " + wholeConfig,
		"GET /v2/apps/blog/releases/": listOf(release), "POST /v2/apps/blog/releases/rollback/": `201 {"version":3}`, "GET /v2/apps/blog/releases/v3/": release,
		"GET /v2/apps/blog/domains/": listOf(domain), "POST /v2/apps/blog/domains/": "201 " + domain, "DELETE /v2/apps/blog/domains/www.foo.com": "204 ",
		"GET /v2/apps/blog/settings/": wholeSettings, "POST /v2/apps/blog/settings/": "201 " + wholeSettings,
		"GET /v2/apps/blog/whitelist/": `{"addresses":["10.0.0.0/8"]}`, "POST /v2/apps/blog/whitelist/": `201 {"addresses":["10.0.0.0/8"]}`, "DELETE /v2/apps/blog/whitelist/": "204 ",
		"GET /v2/apps/blog/tls/": tlsOn, "POST /v2/apps/blog/tls/": "201 " + tlsOn,
		"GET /v2/apps/blog/tls/certificates/": hostCertificates, "POST /v2/apps/blog/tls/certificates/": hostCertificates,
		"GET /v2/apps/blog/services/": `{"services":[{"procfile_type":"api","path_pattern":"/api"}]}`, "POST /v2/apps/blog/services/": "201 ", "DELETE /v2/apps/blog/services/": "204 ",
		"GET /v2/apps/blog/edge/": wholeEdge, "POST /v2/apps/blog/edge/": wholeEdge, "DELETE /v2/apps/blog/edge/": "204 ",
		"GET /v2/apps/blog/edge/status/": `{"processes":[{"process":"web","open":2,"minute":{"requests":100,"failed":1,"per_second":1.7,"p50_ms":4.2},"sound":1,"out":1,"retries":3}],"waiting":1,"gates":[{"process":"web","mode":"on","limit":8,"in_flight":5,"queued":1,"level":511,"admits":"all"}],"shed":[{"class":"bulk","reason":"level","requests":7}],"would":[]}`,
		"GET /v2/apps/blog/cutover/":     cutoverAnswer, "POST /v2/apps/blog/cutover/": "201 " + cutoverAnswer,
		"POST /v2/apps/blog/cutover/promote/": cutoverAnswer, "POST /v2/apps/blog/cutover/abort/": cutoverAnswer,
		"GET /v2/apps/blog/ports/": `{"ports":[{"listen":30001,"procfile_type":"worker","port":9000,"proxy":0}]}`, "POST /v2/apps/blog/ports/": `201 {"listen":30001,"procfile_type":"worker","port":9000,"proxy":0}`, "DELETE /v2/apps/blog/ports/30001/": "204 ",
		"GET /v2/apps/blog/volumes/": `{"volumes":[{"name":"data","mounts":{"web":"/data"},"data":true,"removed":false,"held_by":[]}]}`, "POST /v2/apps/blog/volumes/": `{"name":"data","mounts":{"web":"/data"},"data":true,"removed":false,"held_by":[]}`, "DELETE /v2/apps/blog/volumes/data/": "204 ",
	}
	run := `{"uuid":"r1","app":"blog","process":"nightly","scheduled":"` + t0 + `","manual":true,"by":"bob","state":"succeeded","exit_code":0,"release":"v3",
		"instance":"blog-nightly-0123456789-abcde","started":"2016-10-18T11:59:30Z","ended":"2016-10-18T11:59:40Z"}`
	cron := `{"app":"blog","process":"nightly","schedule":"@daily","timezone":"Europe/Berlin","overlap":"forbid","missed":"skip","deadline":3600,
		"created":"` + t0 + `","updated":"` + t0 + `","next":["2016-10-19T22:00:00Z"],"last":` + run + `,"problem":""}`
	group := `{"name":"shared","owner":"bob","version":2,"created":"` + t0 + `","updated":"` + t0 + `","values":{"A":"1"},"apps":[]}`
	attached := `{"app":"blog","group":"shared","version":2,"has":1,"state":"behind"}`
	maps.Copy(answers, map[string]string{
		"GET /v2/groups/": listOf(group), "POST /v2/groups/": "201 " + group, "GET /v2/groups/shared/": group, "DELETE /v2/groups/shared/": "204 ",
		"POST /v2/groups/shared/":   `{"group":` + group + `,"deploys":[{"app":"blog","release":"v4","error":""}]}`,
		"GET /v2/apps/blog/groups/": listOf(attached), "POST /v2/apps/blog/groups/": "201 " + attached, "DELETE /v2/apps/blog/groups/shared/": "204 ",
		"GET /v2/apps/blog/crons/": listOf(cron), "POST /v2/apps/blog/crons/": "201 " + cron, "GET /v2/apps/blog/crons/nightly/": cron,
		"DELETE /v2/apps/blog/crons/nightly/": "204 ", "GET /v2/apps/blog/crons/nightly/runs/": listOf(run),
		"POST /v2/apps/blog/crons/nightly/runs/": "201 " + strings.Replace(run, "succeeded", "waiting", 1), "GET /v2/apps/blog/crons/nightly/runs/r1/": run,
	})
	for _, at := range []string{"", "web/", "web/blog-web-0123456789-abcde/", "any/blog-web-0123456789-abcde/"} {
		answers["GET /v2/apps/blog/pods/"+at] = `{"count":1,"results":[` + onePod + `]}`
		answers["POST /v2/apps/blog/pods/"+at+"restart/"] = `[` + onePod + `]`
	}
	c := newContract(t, answers)
	c.attached = func(ctx context.Context, command string, stream platform.IO) (int, error) {
		_, err := io.WriteString(stream.Stdout, "ran "+command+"\n")
		return 0, err
	}
	return c
}

// upgrade joins a request that asks for a WebSocket to c.attached.
func (c *contract) upgrade(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	_ = attach.Serve(r.Context(), conn, attach.Open{}, func(ctx context.Context, stream platform.IO) (int, error) {
		return c.attached(ctx, r.URL.Query().Get("command"), stream)
	})
}

// rows are the REST rows, each with a command line that uses it and, where it
// changes something, what exactly is sent.
var rows = []struct{ route, line, sends string }{
	{"GET /v2/platform/", "version --all", ""},
	{"GET /v2/doctor/", "doctor", ""},
	{"GET /v2/metrics/", "metrics", ""},
	{"POST /v2/auth/register/", "register -u bob --email b@x --password-stdin", `{"username":"bob","password":"hunter2","email":"b@x"}`},
	{"POST /v2/auth/login/", "login -u bob --password-stdin", `{"username":"bob","password":"hunter2"}`},
	{"GET /v2/", "login -u bob --password-stdin", ""},
	{"GET /v2/auth/whoami/", "whoami --all", ""},
	{"POST /v2/auth/passwd/", "passwd -u carol --password-stdin", `{"username":"carol","new_password":"hunter2"}`},
	{"POST /v2/auth/tokens/", "auth regenerate -u carol", `{"username":"carol"}`},
	{"POST /v2/auth/tokens/", "auth regenerate --all --yes", `{"all":true}`},
	{"DELETE /v2/auth/cancel/", "auth cancel -u carol --confirm carol", `{"username":"carol"}`},
	{"DELETE /v2/auth/cancel/", "auth cancel --confirm bob", `{}`},
	{"GET /v2/users/", "users list", ""},
	{"GET /v2/admin/perms/", "perms list --admin", ""},
	{"POST /v2/admin/perms/", "perms add carol --admin", `{"username":"carol"}`},
	{"DELETE /v2/admin/perms/{username}", "perms remove carol --admin", ""},
	{"GET /v2/audit/", "audit -a blog --user bob --since 7d", ""},
	{"GET /v2/tokens/", "tokens list", ""},
	{"POST /v2/tokens/", "tokens create ci --role deployer --app blog --expires 30d", `{"name":"ci","role":"deployer","apps":["blog"],"expires_in":2592000}`},
	{"DELETE /v2/tokens/{name}", "tokens revoke ci", ""},
	{"GET /v2/keys/", "keys list", ""},
	{"POST /v2/keys/", "keys add id.pub", `{"id":"bob@laptop","public":"` + publicKey + `"}`},
	{"GET /v2/keys/{id}", "keys info bob@laptop", ""},
	{"DELETE /v2/keys/{id}", "keys remove bob@laptop", ""},
	{"GET /v2/certs/", "certs list", ""},
	{"POST /v2/certs/", "certs add shop shop.crt shop.key", `{"name":"shop","certificate":"CERT","key":"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"}`},
	{"GET /v2/certs/{name}", "certs info shop", ""},
	{"DELETE /v2/certs/{name}", "certs remove shop", ""},
	{"POST /v2/certs/{name}/domain/", "certs attach shop www.foo.com", `{"domain":"www.foo.com"}`},
	{"POST /v2/certs/{name}/domain/", "certs attach shop www.foo.com --replace", `{"domain":"www.foo.com","replace":true}`},
	{"DELETE /v2/certs/{name}/domain/{domain}", "certs detach shop www.foo.com", ""},
	{"GET /v2/apps/", "apps list", ""},
	{"POST /v2/apps/", "create blog", `{"id":"blog"}`},
	{"GET /v2/apps/{app}/", "info", ""},
	{"POST /v2/apps/{app}/", "apps transfer carol", `{"owner":"carol"}`},
	{"DELETE /v2/apps/{app}/", "destroy --confirm blog", ""},
	{"POST /v2/apps/{app}/rename/", "apps rename shop", `{"id":"shop"}`},
	{"GET /v2/apps/{app}/perms/", "perms list", ""},
	{"POST /v2/apps/{app}/perms/", "perms add carol --role viewer", `{"username":"carol","role":"viewer"}`},
	{"DELETE /v2/apps/{app}/perms/{username}", "perms remove carol", ""},
	{"GET /v2/apps/{app}/logs", "logs -n 10", ""},
	{"GET /v2/apps/{app}/run", "run ls", ""},
	{"POST /v2/apps/{app}/run", "run --json ls", `{"command":"ls"}`},
	{"POST /v2/apps/{app}/scale/", "scale web=2", `{"web":2}`},
	{"GET /v2/apps/{app}/builds/", "builds list", ""},
	{"POST /v2/apps/{app}/builds/", "builds create shop:1 --procfile web:bin/server", `{"image":"shop:1","procfile":{"web":"bin/server"}}`},
	{"GET /v2/apps/{app}/builds/{uuid}/", "builds info b1", ""},
	{"GET /v2/apps/{app}/config/", "config list --keys", ""},
	{"POST /v2/apps/{app}/config/", "config set DEBUG=hunter2", `{"values":{"DEBUG":"hunter2"}}`},
	{"POST /v2/apps/{app}/config/", "config unset DEBUG", `{"values":{"DEBUG":null}}`},
	{"GET /v2/apps/{app}/config/", "limits list", ""},
	{"POST /v2/apps/{app}/config/", "limits set web=512M", `{"memory":{"web":"512M"}}`},
	{"POST /v2/apps/{app}/config/", "limits set --cpu web=500m", `{"cpu":{"web":"500m"}}`},
	{"POST /v2/apps/{app}/config/", "limits unset web", `{"memory":{"web":null}}`},
	{"GET /v2/apps/{app}/config/", "timeouts list", ""},
	{"POST /v2/apps/{app}/config/", "timeouts set web=30", `{"termination_grace_period":{"web":"30"}}`},
	{"POST /v2/apps/{app}/config/", "timeouts unset web", `{"termination_grace_period":{"web":null}}`},
	{"GET /v2/apps/{app}/config/", "lifecycle list", ""},
	{"POST /v2/apps/{app}/config/", "lifecycle set post-start web=bin/warm", `{"lifecycle_post_start":{"web":"bin/warm"}}`},
	{"POST /v2/apps/{app}/config/", "lifecycle unset pre-stop web", `{"lifecycle_pre_stop":{"web":null}}`},
	{"GET /v2/apps/{app}/config/", "tags list", ""},
	{"POST /v2/apps/{app}/config/", "tags set disk=ssd", `{"tags":{"disk":"ssd"}}`},
	{"POST /v2/apps/{app}/config/", "tags unset disk", `{"tags":{"disk":null}}`},
	{"GET /v2/apps/{app}/config/", "registry list", ""},
	{"POST /v2/apps/{app}/config/", "registry set username=bob password=hunter2", `{"registry":{"password":"hunter2","username":"bob"}}`},
	{"POST /v2/apps/{app}/config/", "registry unset password", `{"registry":{"password":null}}`},
	{"GET /v2/apps/{app}/config/", "healthchecks list", ""},
	{"POST /v2/apps/{app}/config/", "healthchecks set liveness httpGet 80", `{"healthcheck":{"web/cmd":{"livenessProbe":{"initialDelaySeconds":50,"timeoutSeconds":50,"periodSeconds":10,"successThreshold":1,"failureThreshold":3,"httpGet":{"path":"/","port":80}}}}}`},
	{
		"POST /v2/apps/{app}/config/",
		"healthchecks set readiness httpGet --port 80 --path /up --headers X-A:1,X-B:two --type web --initial-delay-timeout 1 --timeout-seconds 2 --period-seconds 3 --success-threshold 4 --failure-threshold 5",
		`{"healthcheck":{"web":{"readinessProbe":{"initialDelaySeconds":1,"timeoutSeconds":2,"periodSeconds":3,"successThreshold":4,"failureThreshold":5,"httpGet":{"path":"/up","port":80,"httpHeaders":[{"name":"X-A","value":"1"},{"name":"X-B","value":"two"}]}}}}}`,
	},
	{"POST /v2/apps/{app}/config/", "healthchecks set liveness exec -- /bin/test -f x", `{"healthcheck":{"web/cmd":{"livenessProbe":{"initialDelaySeconds":50,"timeoutSeconds":50,"periodSeconds":10,"successThreshold":1,"failureThreshold":3,"exec":{"command":["/bin/test","-f","x"]}}}}}`},
	{"POST /v2/apps/{app}/config/", "healthchecks set readiness tcpSocket 5000 --type worker", `{"healthcheck":{"worker":{"readinessProbe":{"initialDelaySeconds":50,"timeoutSeconds":50,"periodSeconds":10,"successThreshold":1,"failureThreshold":3,"tcpSocket":{"port":5000}}}}}`},
	{"POST /v2/apps/{app}/config/", "healthchecks unset liveness readiness", `{"healthcheck":{"web/cmd":{"livenessProbe":null,"readinessProbe":null}}}`},
	{"GET /v2/apps/{app}/releases/", "releases list", ""},
	{"POST /v2/apps/{app}/releases/rollback/", "rollback v3", `{"version":3}`},
	{"POST /v2/images/gc/", "images gc --dry-run", `{"dry_run":true}`},
	{"GET /v2/apps/{app}/images/", "images list", ""},
	{"GET /v2/apps/{app}/images/{digest}/", "images show v3", ""},
	{"POST /v2/apps/{app}/images/quota/", "images quota 100", `{"mib":100}`},
	{"POST /v2/apps/{app}/images/quota/", "images quota none", `{"mib":0}`},
	{"POST /v2/apps/{app}/images/quota/", "images quota default", `{"mib":null}`},
	{"GET /v2/apps/{app}/releases/{version}/sbom/", "sbom v3", ""},
	{"GET /v2/apps/{app}/releases/{version}/provenance/", "sbom v3 --provenance", ""},
	{"GET /v2/stacks/", "stack info", ""},
	{"POST /v2/stacks/", "stack build --packages python3,perl --mirror http://m/debian", `{"packages":["python3","perl"],"mirror":"http://m/debian","use":true}`},
	{"POST /v2/stacks/use/", "stack use debian:12 --name debian", `{"stack":"debian:12","name":"debian"}`},
	{"DELETE /v2/stacks/{name}/", "stack remove bookworm", ""},
	{"POST /v2/apps/{app}/rebase/", "stack rebase", ""},
	{"GET /v2/apps/{app}/releases/{version}/", "releases info v3", ""},
	{"GET /v2/apps/{app}/pods/", "ps list", ""},
	{"GET /v2/apps/{app}/pods/{type}/", "ps list web", ""},
	{"GET /v2/apps/{app}/pods/{type}/{name}/", "ps list blog-web-0123456789-abcde", ""},
	{"POST /v2/apps/{app}/pods/restart/", "ps restart", ""},
	{"POST /v2/apps/{app}/pods/{type}/restart/", "ps restart web", ""},
	{"POST /v2/apps/{app}/pods/{type}/{name}/restart/", "ps restart web-0123456789-abcde", ""},
	{"GET /v2/apps/{app}/pods/{type}/{name}/exec", "ps exec web -- ls", ""},
	{"GET /v2/apps/{app}/domains/", "domains list", ""},
	{"POST /v2/apps/{app}/domains/", "domains add www.foo.com", `{"domain":"www.foo.com"}`},
	{"DELETE /v2/apps/{app}/domains/{domain}", "domains remove www.foo.com", ""},
	{"GET /v2/apps/{app}/settings/", "autoscale list", ""},
	{"GET /v2/apps/{app}/settings/", "labels list", ""},
	{"GET /v2/apps/{app}/settings/", "maintenance info", ""},
	{"GET /v2/apps/{app}/settings/", "settings list", ""},
	{"POST /v2/apps/{app}/settings/", "autoscale set web --min 1 --max 4 --cpu-percent 60", `{"autoscale":{"web":{"min":1,"max":4,"cpu_percent":60}}}`},
	{"POST /v2/apps/{app}/settings/", "autoscale unset web", `{"autoscale":{"web":null}}`},
	{"POST /v2/apps/{app}/settings/", "labels set team=search", `{"label":{"team":"search"}}`},
	{"POST /v2/apps/{app}/settings/", "labels unset team", `{"label":{"team":null}}`},
	{"POST /v2/apps/{app}/settings/", "maintenance on", `{"maintenance":true}`},
	{"POST /v2/apps/{app}/settings/", "routing off", `{"routable":false}`},
	{"POST /v2/apps/{app}/settings/", "branch live", `{"deploy_branch":"live"}`},
	{"GET /v2/apps/{app}/whitelist/", "whitelist list", ""},
	{"POST /v2/apps/{app}/whitelist/", "whitelist add 10.0.0.0/8,192.0.2.7 ::1", `{"addresses":["10.0.0.0/8","192.0.2.7","::1"]}`},
	{"DELETE /v2/apps/{app}/whitelist/", "whitelist remove 192.0.2.7", `{"addresses":["192.0.2.7"]}`},
	{"GET /v2/apps/{app}/tls/", "tls info", ""},
	{"POST /v2/apps/{app}/tls/", "tls enable", `{"https_enforced":true}`},
	{"POST /v2/apps/{app}/tls/", "tls disable", `{"https_enforced":false}`},
	{"GET /v2/apps/{app}/tls/certificates/", "tls certificates", ""},
	{"POST /v2/apps/{app}/tls/certificates/", "tls auto on", `{"automatic":true}`},
	{"POST /v2/apps/{app}/tls/certificates/", "tls auto off", `{"automatic":false}`},
	{"GET /v2/apps/{app}/services/", "services list", ""},
	{"POST /v2/apps/{app}/services/", "services add api /api", `{"procfile_type":"api","path_pattern":"/api"}`},
	{"GET /v2/groups/", "groups list", ""},
	{"POST /v2/groups/", "groups create shared", `{"name":"shared"}`},
	{"GET /v2/groups/{name}", "groups show shared", ""},
	{"POST /v2/groups/{name}", "groups set shared A=1", `{"values":{"A":"1"}}`},
	{"POST /v2/groups/{name}", "groups unset shared A", `{"values":{"A":null}}`},
	{"DELETE /v2/groups/{name}", "groups destroy shared", ""},
	{"GET /v2/apps/{app}/groups/", "groups list -a blog", ""},
	{"POST /v2/apps/{app}/groups/", "groups attach shared", `{"group":"shared"}`},
	{"DELETE /v2/apps/{app}/groups/{name}", "groups detach shared", ""},
	{"GET /v2/apps/{app}/crons/", "cron list", ""},
	{"POST /v2/apps/{app}/crons/", "cron set nightly @daily --timezone Europe/Berlin --overlap replace --missed once --deadline 90m", `{"process":"nightly","schedule":"@daily","timezone":"Europe/Berlin","overlap":"replace","missed":"once","deadline":5400}`},
	{"POST /v2/apps/{app}/crons/", "cron pause nightly", `{"process":"nightly","paused":true}`},
	{"POST /v2/apps/{app}/crons/", "cron resume nightly", `{"process":"nightly","paused":false}`},
	{"GET /v2/apps/{app}/crons/{type}/", "cron info nightly", ""},
	{"DELETE /v2/apps/{app}/crons/{type}/", "cron remove nightly", ""},
	{"GET /v2/apps/{app}/crons/{type}/runs/", "cron history nightly", ""},
	{"POST /v2/apps/{app}/crons/{type}/runs/", "cron run nightly", ""},
	{"GET /v2/apps/{app}/crons/{type}/runs/{uuid}/", "cron run nightly", ""},
	{"DELETE /v2/apps/{app}/services/", "services remove api", `{"procfile_type":"api"}`},
	{"GET /v2/apps/{app}/edge/", "edge list", ""},
	{"GET /v2/apps/{app}/edge/", "edge auth list", ""},
	{"GET /v2/apps/{app}/edge/", "edge page 404", ""},
	{"POST /v2/apps/{app}/edge/", "edge set timeout=30s retries=0 compress=off", `{"balance":{"retries":0},"compress":["identity"],"timeouts":{"answer":"30s"}}`},
	{"POST /v2/apps/{app}/edge/", "edge set redirect=/a->/c", `{"redirects":[{"path":"/old","to":"https://example.com/new","status":301},{"path":"/a","to":"/c"}]}`},
	{"POST /v2/apps/{app}/edge/", "edge unset timeout header=x-frame-options deny", `{"deny":null,"headers":{"X-Frame-Options":null},"timeouts":{"answer":null}}`},
	{"POST /v2/apps/{app}/edge/", "edge auth add carol --password-stdin", `{"auth":{"users":{"carol":"hunter2"}}}`},
	{"POST /v2/apps/{app}/edge/", "edge auth remove bob", `{"auth":null}`},
	{"POST /v2/apps/{app}/edge/", "edge page 503 shop.crt", `{"pages":{"503":"CERT"}}`},
	{"POST /v2/apps/{app}/edge/", "edge page 404 --remove", `{"pages":{"404":null}}`},
	{"POST /v2/apps/{app}/edge/", "edge apply -f edge.json", `{"max_body":"1M"}`},
	{"DELETE /v2/apps/{app}/edge/", "edge reset", ""},
	{"GET /v2/apps/{app}/edge/status/", "edge status", ""},
	{"GET /v2/apps/{app}/cutover/", "cutover", ""},
	{"POST /v2/apps/{app}/cutover/", "cutover set strategy=staged steps=1%,50% pause=", `{"pause":"","steps":"1%,50%","strategy":"staged"}`},
	{"POST /v2/apps/{app}/cutover/promote/", "cutover promote", ""},
	{"POST /v2/apps/{app}/cutover/abort/", "cutover abort", ""},
	{"GET /v2/apps/{app}/ports/", "ports list", ""},
	{"POST /v2/apps/{app}/ports/", "ports add worker 9000 --listen 30001 --proxy 2", `{"procfile_type":"worker","port":9000,"listen":30001,"proxy":2}`},
	{"DELETE /v2/apps/{app}/ports/{listen}/", "ports remove 30001", ""},
	{"GET /v2/apps/{app}/volumes/", "volumes list", ""},
	{"POST /v2/apps/{app}/volumes/", "volumes add data web=/data", `{"name":"data","mounts":{"web":"/data"}}`},
	{"POST /v2/apps/{app}/volumes/", "volumes mount data web=/data", `{"name":"data","mounts":{"web":"/data"}}`},
	{"POST /v2/apps/{app}/volumes/", "volumes unmount data web", `{"name":"data","mounts":{"web":null}}`},
	{"DELETE /v2/apps/{app}/volumes/{name}/", "volumes remove data --data --confirm data", ""},
}

// worker is a user with the files that the rows name.
func worker(t *testing.T, c *contract) *user {
	t.Helper()
	u := at(t, c)
	u.env = append(u.env, "SLIPWAY_APP=blog")
	u.stdin = "hunter2\n"
	for name, text := range map[string]string{"shop.crt": "CERT", "shop.key": secretPEM, "edge.json": `{"max_body":"1M"}`, "id.pub": publicKey + "\n"} {
		if err := os.WriteFile(filepath.Join(u.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// template is a pattern of the requests of a route.
func template(route string) *regexp.Regexp {
	method, path, _ := strings.Cut(route, " ")
	path = regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(strings.TrimSuffix(path, "/")), `[^/ ]+`)
	return regexp.MustCompile(`^` + method + ` ` + path + `/?( (.*))?$`)
}

func TestEveryRowHasAVerb(t *testing.T) {
	c := whole(t)
	for _, row := range rows {
		u := worker(t, c)
		c.forget()
		got := u.types(strings.Fields(row.line)...)
		if got.exit != 0 {
			t.Errorf("%s: exit %d\n%s", row.line, got.exit, got.stderr)
			continue
		}
		matches := slices.IndexFunc(c.asked, func(asked string) bool {
			match := template(row.route).FindStringSubmatch(asked)
			return match != nil && (row.sends == "" || match[2] == row.sends)
		})
		if matches < 0 {
			t.Errorf("%s: asked %q, want %s %s", row.line, c.asked, row.route, row.sends)
		}
	}
}

func TestEveryAnswerIsJSONWhenAskedForAndHoldsNoSecret(t *testing.T) {
	c := whole(t)
	for _, row := range rows {
		said := ""
		for _, form := range []string{"", "--json"} {
			u := worker(t, c)
			words := strings.Fields(row.line)
			if form != "" && !slices.Contains(words, form) {
				words = slices.Insert(words, 1, form)
			}
			got := u.types(words...)
			if said += got.stdout + got.stderr; form == "" {
				continue
			}
			decoder := json.NewDecoder(strings.NewReader(got.stdout))
			var v any
			for decoder.More() { // logs answer an object a line
				if err := decoder.Decode(&v); err != nil {
					t.Errorf("%v: got %q: %v", words, got.stdout, err)
					break
				}
			}
			if got.exit != 0 || v == nil {
				t.Errorf("%v: exit %d, %q, %q", words, got.exit, got.stdout, got.stderr)
			}
		}
		for _, secret := range []string{"hunter2", "s3cret", "c2VjcmV0", newToken, "0123456789abcdef"} {
			if strings.Contains(said, secret) && !strings.HasPrefix(row.line, "tokens create") {
				t.Errorf("%s shows %s: %s", row.line, secret, said)
			}
		}
	}
}

// TestEveryRouteOfTheServerIsInTheRows fails when the server's table gets a row
// that has no verb, and when a verb asks what no server answers.
func TestEveryRouteOfTheServerIsInTheRows(t *testing.T) {
	handler := server.New(slog.New(slog.DiscardHandler), nil, nil, nil, server.Options{})
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/v2/openapi.json", nil))
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &document); err != nil || len(document.Paths) == 0 {
		t.Fatalf("%v: %s", err, answer.Body)
	}
	served := map[string]bool{}
	for path, methods := range document.Paths {
		// For monitors, programs that read the document, and builders elsewhere.
		if path == "/healthz" || path == "/readiness" || path == "/v2/openapi.json" || strings.HasPrefix(path, "/v2/hooks/") {
			continue
		}
		for method := range methods {
			served[strings.ToUpper(method)+" "+path] = true
		}
	}
	used := map[string]bool{}
	for _, row := range rows {
		used[row.route] = true
		if !served[row.route] {
			t.Errorf("%s asks %s, which no server answers", row.line, row.route)
		}
	}
	for route := range served {
		if !used[route] {
			t.Errorf("no verb uses %s", route)
		}
	}
}

func TestSecretsAreShownWhenAskedForAlone(t *testing.T) {
	c := whole(t)
	u := worker(t, c)
	u.types("registry").want(t, 0, "KEY       VALUE\npassword  ********\nusername  bob\n", "")
	u.types("registry", "list", "--show-secrets").want(t, 0, "KEY       VALUE\npassword  s3cret\nusername  bob\n", "")
	u.types("tokens", "create", "ci").want(t, 0, newToken+"\n", "The token ci, shown this once:\n")
	u.types("auth", "regenerate").want(t, 0, newToken+"\n", "The new token, shown this once:\n")
}

func TestAPlatformOfDeisKnowsOneRole(t *testing.T) {
	c := whole(t)
	c.answers["GET /v2/apps/blog/perms/"] = `{"users":["carol"]}`
	worker(t, c).types("perms").want(t, 0, "USER   ROLE\nbob    owner\ncarol  operator\n", "")
}

const cutoverAnswer = `{"strategy":{"strategy":"staged","steps":"1%,50%"},"under_way":{"release":3,"from":2,"strategy":{"strategy":"staged"},"step":2,"steps":["1 % of requests","50 % of requests"],"waits":"for 30s","since":"2016-10-18T20:29:38Z","started":"2016-10-18T20:29:08Z","word":"","by":"","undone":"","old":{"requests":10,"failed":0,"p99_ms":1.5},"new":{"requests":10,"failed":1,"p99_ms":2},"done":[{"name":"1 % of requests","old":{"requests":99,"failed":0,"p99_ms":1},"new":{"requests":1,"failed":0,"p99_ms":1},"took_ms":30000}]}}`
