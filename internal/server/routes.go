package server

import (
	"net/http"

	"github.com/slipway-paas/slipway/internal/api"
)

const (
	get   = http.MethodGet
	post  = http.MethodPost
	del   = http.MethodDelete
	of    = "/v2/apps/{app}/"
	pods  = of + "pods/"
	empty = http.StatusNoContent
)

// table is every route of the API. The first that fits a path and a method
// wins, so literal paths stand before those with a parameter in their place.
func table() []route {
	paged := []parameter{
		{"limit", "integer", "How many; 100 unless told, as is what is not a positive number."},
		{"offset", "integer", "How many to leave out first."},
	}
	logs := []parameter{
		{"log_lines", "integer", "Last so many lines; 100 unless told."},
		{"follow", "boolean", "Keep sending lines as they come."},
		{"process", "string", "Lines of this process type only."},
		{"source", "string", "app, build or controller."},
	}
	terminal := []parameter{
		{"command", "string", "One command line."},
		{"tty", "boolean", "With a terminal."},
		{"term", "string", "The terminal's name, such as xterm."},
		{"rows", "integer", "The terminal's height."},
		{"cols", "integer", "The terminal's width."},
	}
	routes := []route{
		{method: get, path: "/healthz", open: true, handle: (*server).healthz, status: 200, gives: html(0, ""), summary: "Tell whether the API is alive"},
		{method: get, path: "/readiness", open: true, handle: (*server).readiness, status: 200, gives: html(0, ""), also: []int{503}, summary: "Tell whether the database answers"},
		{method: get, path: "/v2/", handle: (*server).root, status: 200, gives: map[string]any{}, summary: "Check a token"},
		{method: get, path: "/v2/openapi.json", open: true, handle: (*server).openAPI, status: 200, gives: map[string]any{}, summary: "Get this document"},
		{method: get, path: "/v2/platform/", handle: (*server).platform, status: 200, gives: api.Platform{}, summary: "Get where things are"},
		{method: get, path: "/v2/doctor/", handle: (*server).examine, status: 200, gives: []api.Finding{}, also: []int{403}, summary: "Find what is wrong here, and the cure"},

		{method: post, path: "/v2/auth/register/", open: true, handle: (*server).register, takes: api.Register{}, status: 201, gives: api.User{}, also: []int{403}, summary: "Register a user"},
		{method: post, path: "/v2/auth/login/", open: true, handle: (*server).login, takes: api.Login{}, status: 200, gives: api.Token{}, summary: "Get one's token"},
		{method: get, path: "/v2/auth/whoami/", handle: (*server).whoami, status: 200, gives: api.User{}, summary: "Get whose token this is"},
		{method: post, path: "/v2/auth/passwd/", handle: (*server).passwd, takes: api.Passwd{}, status: 200, gives: api.Status{}, also: []int{403, 404}, summary: "Change a password"},
		{method: post, path: "/v2/auth/tokens/", handle: (*server).tokens, takes: api.Tokens{}, status: 200, gives: api.Token{}, also: []int{403, 404}, summary: "Replace a token"},
		{method: del, path: "/v2/auth/cancel/", handle: (*server).cancel, takes: api.Cancel{}, status: empty, also: []int{403, 404, 409}, summary: "Remove a user"},
		{method: get, path: "/v2/users/", handle: (*server).listUsers, query: paged, status: 200, gives: api.List[api.User]{}, also: []int{403}, summary: "List users"},
		{method: get, path: "/v2/keys/", handle: (*server).listKeys, query: paged, status: 200, gives: api.List[api.Key]{}, summary: "List one's SSH keys"},
		{method: post, path: "/v2/keys/", handle: (*server).addKey, takes: api.CreateKey{}, status: 201, gives: api.Key{}, summary: "Add an SSH key"},
		{method: get, path: "/v2/keys/{id...}", handle: (*server).getKey, status: 200, gives: api.Key{}, also: []int{404}, summary: "Get an SSH key"},
		{method: del, path: "/v2/keys/{id...}", handle: (*server).deleteKey, status: empty, also: []int{404}, summary: "Remove an SSH key"},

		{method: get, path: "/v2/apps/", handle: (*server).listApps, query: paged, status: 200, gives: api.List[api.App]{}, summary: "List apps"},
		{method: post, path: "/v2/apps/", handle: (*server).createApp, takes: api.CreateApp{}, status: 201, gives: api.App{}, also: []int{409}, summary: "Create an app"},
		{method: get, path: of, handle: (*server).getApp, status: 200, gives: api.App{}, summary: "Get an app"},
		{method: del, path: of, handle: (*server).deleteApp, status: empty, summary: "Destroy an app, its history included"},
		{method: get, path: of + "logs", handle: (*server).logs, query: logs, status: 200, gives: answer{kind: "text/plain"}, also: []int{204}, summary: "Read an app's log"},
		{method: get, path: of + "run", handle: (*server).attach, query: terminal, status: 101, also: []int{400, 426}, summary: "Run a command, attached through a WebSocket"},
		{method: post, path: of + "run", handle: (*server).run, takes: api.Run{}, status: 200, gives: api.RunResult{}, also: []int{503}, summary: "Run a command to its end"},
		{method: post, path: of + "scale/", handle: (*server).scale, takes: api.Scale{}, status: empty, also: []int{409, 503}, summary: "Set how many of each process type run"},

		{method: get, path: of + "builds/", handle: (*server).listBuilds, query: paged, status: 200, gives: api.List[api.Build]{}, summary: "List builds, newest first"},
		{method: post, path: of + "builds/", handle: (*server).createBuild, takes: api.CreateBuild{}, status: 201, gives: api.Build{}, summary: "Deploy an image (needs a container runtime)"},
		{method: get, path: of + "builds/{uuid}/", handle: (*server).getBuild, status: 200, gives: api.Build{}, summary: "Get a build"},
		{method: get, path: of + "config/", handle: (*server).getConfig, status: 200, gives: api.Config{}, summary: "Get the config that is current"},
		{method: post, path: of + "config/", handle: (*server).setConfig, takes: api.ConfigPatch{}, status: 201, gives: api.Config{}, also: []int{409, 422, 503}, summary: "Change the config as a new release"},
		{method: get, path: of + "releases/", handle: (*server).listReleases, query: paged, status: 200, gives: api.List[api.Release]{}, summary: "List releases, newest first"},
		{method: post, path: of + "releases/rollback/", handle: (*server).rollback, takes: api.Rollback{}, status: 201, gives: api.RolledBack{}, also: []int{409, 503}, summary: "Make a new release of an old one"},
		{method: get, path: of + "releases/{version}/", handle: (*server).getRelease, status: 200, gives: api.Release{}, summary: "Get a release"},

		{method: get, path: pods, handle: (*server).listPods, status: 200, gives: api.Pods{}, summary: "List what runs"},
		{method: post, path: pods + "restart/", handle: (*server).restartPods, status: 200, gives: []api.Pod{}, also: []int{503}, summary: "Replace all that runs"},
		{method: get, path: pods + "{type}/", handle: (*server).listPods, status: 200, gives: api.Pods{}, summary: "List what runs of a process type"},
		{method: post, path: pods + "{type}/restart/", handle: (*server).restartPods, status: 200, gives: []api.Pod{}, also: []int{503}, summary: "Replace what runs of a process type"},
		{method: get, path: pods + "{type}/{name}/", handle: (*server).listPods, status: 200, gives: api.Pods{}, summary: "Find one by its name"},
		{method: post, path: pods + "{type}/{name}/restart/", handle: (*server).restartPods, status: 200, gives: []api.Pod{}, also: []int{503}, summary: "Replace one"},

		{method: get, path: of + "domains/", handle: (*server).listDomains, query: paged, status: 200, gives: api.List[api.Domain]{}, summary: "List domains"},
		{method: post, path: of + "domains/", handle: (*server).addDomain, takes: api.CreateDomain{}, status: 201, gives: api.Domain{}, summary: "Route a host name to an app"},
		{method: del, path: of + "domains/{domain}", handle: (*server).deleteDomain, status: empty, summary: "Stop routing a host name"},
		{method: get, path: of + "settings/", handle: (*server).getSettings, status: 200, gives: api.Settings{}, summary: "Get an app's settings"},
		{method: post, path: of + "settings/", handle: (*server).setSettings, takes: api.SettingsPatch{}, status: 201, gives: api.Settings{}, also: []int{409}, summary: "Change an app's settings"},
	}
	for i := range routes {
		routes[i].segments, _ = segments(routes[i].path)
	}
	return routes
}
