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
	crons = of + "crons/"
	empty = http.StatusNoContent
)

// table is every route of the API. The first that fits a path and a method
// wins, so literal paths stand before those with a parameter in their place.
func table() []route {
	paged := []parameter{
		{"limit", "integer", "How many; 100 unless told, as is what is not a positive number."},
		{"offset", "integer", "How many to leave out first."},
	}
	trail := append([]parameter{
		{"app", "string", "Of this app only."},
		{"user", "string", "By this user only."},
		{"event", "string", "Of this name only, such as config.changed."},
		{"since", "string", "From this time on, as 2016-10-18T20:29:38Z."},
		{"until", "string", "Before this time."},
	}, paged...)
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
	removal := []parameter{{"data", "string", "keep, unless told, or delete: for good, which asks for the role admin."}}
	routes := []route{
		{method: get, path: "/healthz", guard: forAll, handle: (*server).healthz, status: 200, gives: html(0, ""), summary: "Tell whether the API is alive"},
		{method: get, path: "/readiness", guard: forAll, handle: (*server).readiness, status: 200, gives: html(0, ""), also: []int{503}, summary: "Tell whether the database answers"},
		{method: get, path: "/v2/", handle: (*server).root, status: 200, gives: map[string]any{}, summary: "Check a token"},
		{method: get, path: "/v2/openapi.json", guard: forAll, handle: (*server).openAPI, status: 200, gives: map[string]any{}, summary: "Get this document"},
		{method: get, path: "/v2/platform/", handle: (*server).platform, status: 200, gives: api.Platform{}, summary: "Get where things are"},
		{method: get, path: "/v2/doctor/", handle: (*server).examine, status: 200, gives: []api.Finding{}, also: []int{403}, summary: "Find what is wrong here, and the cure"},
		{method: get, path: "/v2/metrics/", handle: (*server).metrics, status: 200, gives: answer{kind: "text/plain"}, also: []int{403, 503}, summary: "Get the counts of all apps, for Prometheus"},

		{method: post, path: "/v2/auth/register/", guard: forAll, handle: (*server).register, takes: api.Register{}, status: 201, gives: api.User{}, also: []int{403, 429}, summary: "Register a user"},
		{method: post, path: "/v2/auth/login/", guard: forAll, handle: (*server).login, takes: api.Login{}, status: 200, gives: api.Token{}, also: []int{429}, summary: "Get one's token"},
		{method: get, path: "/v2/auth/whoami/", handle: (*server).whoami, status: 200, gives: api.User{}, summary: "Get whose token this is"},
		{method: post, path: "/v2/auth/passwd/", handle: (*server).passwd, takes: api.Passwd{}, status: 200, gives: api.Status{}, also: []int{403, 404, 429}, summary: "Change a password"},
		{method: post, path: "/v2/auth/tokens/", handle: (*server).tokens, takes: api.Tokens{}, status: 200, gives: api.Token{}, or: "", also: []int{403, 404}, summary: "Replace a token, or everybody's"},
		{method: del, path: "/v2/auth/cancel/", handle: (*server).cancel, takes: api.Cancel{}, status: empty, also: []int{403, 404, 409}, summary: "Remove a user"},
		{method: get, path: "/v2/users/", handle: (*server).listUsers, query: paged, status: 200, gives: api.List[api.User]{}, also: []int{403}, summary: "List users"},
		{method: get, path: "/v2/admin/perms/", handle: (*server).listAdmins, query: paged, status: 200, gives: api.List[api.Admin]{}, also: []int{403}, summary: "List administrators"},
		{method: post, path: "/v2/admin/perms/", handle: (*server).makeAdmin, takes: api.MakeAdmin{}, status: 201, also: []int{403, 404}, summary: "Make a user an administrator"},
		{method: del, path: "/v2/admin/perms/{username}", handle: (*server).unmakeAdmin, status: empty, also: []int{403, 404, 409}, summary: "Make an administrator an ordinary user"},
		{method: get, path: "/v2/audit/", handle: (*server).audit, query: trail, status: 200, gives: api.List[api.AuditEvent]{}, also: []int{400, 403, 404}, summary: "Read who changed what, newest first"},
		{method: get, path: "/v2/tokens/", handle: (*server).listTokens, query: paged, status: 200, gives: api.List[api.NamedToken]{}, also: []int{403}, summary: "List one's named tokens"},
		{method: post, path: "/v2/tokens/", handle: (*server).createToken, takes: api.CreateToken{}, status: 201, gives: api.CreatedToken{}, also: []int{403}, summary: "Make a named token"},
		{method: del, path: "/v2/tokens/{name...}", handle: (*server).revokeToken, status: empty, also: []int{403, 404}, summary: "End a named token"},
		{method: get, path: "/v2/keys/", handle: (*server).listKeys, query: paged, status: 200, gives: api.List[api.Key]{}, summary: "List one's SSH keys"},
		{method: post, path: "/v2/keys/", handle: (*server).addKey, takes: api.CreateKey{}, status: 201, gives: api.Key{}, summary: "Add an SSH key"},
		{method: get, path: "/v2/keys/{id...}", handle: (*server).getKey, status: 200, gives: api.Key{}, also: []int{404}, summary: "Get an SSH key"},
		{method: del, path: "/v2/keys/{id...}", handle: (*server).deleteKey, status: empty, also: []int{404}, summary: "Remove an SSH key"},
		{method: get, path: "/v2/certs/", handle: (*server).listCerts, query: paged, status: 200, gives: api.List[api.Cert]{}, summary: "List one's certificates"},
		{method: post, path: "/v2/certs/", handle: (*server).addCert, takes: api.CreateCert{}, status: 201, gives: api.Cert{}, summary: "Add a certificate and its key"},
		{method: get, path: "/v2/certs/{name}", handle: (*server).getCert, status: 200, gives: api.Cert{}, also: []int{404}, summary: "Get a certificate"},
		{method: del, path: "/v2/certs/{name}", handle: (*server).deleteCert, status: empty, also: []int{404}, summary: "Remove a certificate from its domains and for good"},
		{method: post, path: "/v2/certs/{name}/domain/", handle: (*server).attachCert, takes: api.AttachCert{}, status: 201, also: []int{403, 404, 409}, summary: "Serve a domain with a certificate"},
		{method: del, path: "/v2/certs/{name}/domain/{domain}", handle: (*server).detachCert, status: empty, also: []int{403, 404}, summary: "Stop serving a domain with a certificate"},

		{method: post, path: "/v2/images/gc/", handle: (*server).collectImages, takes: api.CollectImages{}, status: 200, gives: api.CollectedImages{}, also: []int{403, 409}, summary: "Remove from the registry what nothing needs"},
		{method: get, path: of + "images/", handle: (*server).listImages, status: 200, gives: api.Images{}, also: []int{409}, summary: "List what the registry has of an app's releases"},
		{method: post, path: of + "images/quota/", handle: (*server).setImageQuota, takes: api.ImageQuota{}, status: empty, summary: "Bound what an app's images may hold"},
		{method: get, path: of + "images/{digest}/", handle: (*server).getImage, status: 200, gives: api.Image{}, also: []int{409}, summary: "Get one image and what of it is wasted"},
		{method: get, path: "/v2/stacks/", handle: (*server).listStacks, query: paged, status: 200, gives: api.List[api.Stack]{}, also: []int{403}, summary: "List the images that slugs are laid on"},
		{method: post, path: "/v2/stacks/", handle: (*server).buildStack, takes: api.BuildStack{}, status: 201, gives: answer{kind: "application/x-ndjson"}, also: []int{403, 409}, summary: "Make a stack of Debian's packages, told line by line"},
		{method: post, path: "/v2/stacks/use/", handle: (*server).useStack, takes: api.UseStack{}, status: 200, gives: api.Stack{}, also: []int{403, 404, 409}, summary: "Choose what slugs are laid on"},
		{method: del, path: "/v2/stacks/{name}/", handle: (*server).removeStack, status: empty, also: []int{403, 404, 409}, summary: "Forget a stack"},
		{method: get, path: "/v2/groups/", handle: (*server).listGroups, query: paged, status: 200, gives: api.List[api.Group]{}, also: []int{403}, summary: "List one's config groups"},
		{method: post, path: "/v2/groups/", handle: (*server).createGroup, takes: api.CreateGroup{}, status: 201, gives: api.Group{}, also: []int{403}, summary: "Make a config group"},
		{method: get, path: "/v2/groups/{name}", handle: (*server).getGroup, status: 200, gives: api.Group{}, also: []int{403, 404}, summary: "Get a config group with its values"},
		{method: post, path: "/v2/groups/{name}", handle: (*server).setGroup, takes: api.SetGroup{}, status: 200, gives: api.GroupChanged{}, also: []int{403, 404, 409, 422}, summary: "Change a config group, as a new release of each of its apps"},
		{method: del, path: "/v2/groups/{name}", handle: (*server).destroyGroup, status: empty, also: []int{403, 404, 409}, summary: "Destroy a config group that no app has"},

		{method: get, path: "/v2/apps/", handle: (*server).listApps, query: paged, status: 200, gives: api.List[api.App]{}, summary: "List apps"},
		{method: post, path: "/v2/apps/", handle: (*server).createApp, takes: api.CreateApp{}, status: 201, gives: api.App{}, also: []int{409}, summary: "Create an app"},
		{method: get, path: of, handle: (*server).getApp, status: 200, gives: api.App{}, summary: "Get an app"},
		{method: post, path: of, handle: (*server).transfer, takes: api.Transfer{}, status: 200, summary: "Give an app to another user"},
		{method: del, path: of, handle: (*server).deleteApp, status: empty, summary: "Destroy an app, its history included"},
		{method: post, path: of + "rename/", handle: (*server).rename, takes: api.Rename{}, status: 200, gives: api.App{}, also: []int{409}, summary: "Give an app another id"},
		{method: get, path: of + "perms/", handle: (*server).listPerms, status: 200, gives: api.Perms{}, summary: "List who an app is shared with"},
		{method: post, path: of + "perms/", handle: (*server).grant, takes: api.Grant{}, status: 201, summary: "Share an app, or change a role"},
		{method: del, path: of + "perms/{username}", handle: (*server).revoke, status: empty, summary: "Stop sharing an app with somebody"},
		{method: get, path: of + "logs", handle: (*server).logs, query: logs, status: 200, gives: answer{kind: "text/plain"}, also: []int{204, 429}, summary: "Read an app's log"},
		{method: get, path: of + "run", handle: (*server).attach, query: terminal, status: 101, also: []int{400, 426, 429}, summary: "Run a command, attached through a WebSocket"},
		{method: post, path: of + "run", handle: (*server).run, takes: api.Run{}, status: 200, gives: api.RunResult{}, also: []int{429}, summary: "Run a command to its end"},
		{method: post, path: of + "scale/", handle: (*server).scale, takes: api.Scale{}, status: empty, also: []int{409}, summary: "Set how many of each process type run"},

		{method: get, path: of + "builds/", handle: (*server).listBuilds, query: paged, status: 200, gives: api.List[api.Build]{}, summary: "List builds, newest first"},
		{method: post, path: of + "builds/", handle: (*server).createBuild, takes: api.CreateBuild{}, status: 201, gives: api.Build{}, also: []int{409}, summary: "Deploy an image as a new release"},
		{method: get, path: of + "builds/{uuid}/", handle: (*server).getBuild, status: 200, gives: api.Build{}, summary: "Get a build"},
		{method: get, path: of + "config/", handle: (*server).getConfig, status: 200, gives: api.Config{}, summary: "Get the config that is current"},
		{method: post, path: of + "config/", handle: (*server).setConfig, takes: api.ConfigPatch{}, status: 201, gives: api.Config{}, also: []int{409, 422}, summary: "Change the config as a new release"},
		{method: get, path: of + "releases/", handle: (*server).listReleases, query: paged, status: 200, gives: api.List[api.Release]{}, summary: "List releases, newest first"},
		{method: post, path: of + "releases/rollback/", handle: (*server).rollback, takes: api.Rollback{}, status: 201, gives: api.RolledBack{}, also: []int{409}, summary: "Make a new release of an old one"},
		{method: get, path: of + "releases/{version}/sbom/", handle: (*server).getSBOM, status: 200, gives: map[string]any{}, summary: "Get what is in the image of a release, as CycloneDX"},
		{method: get, path: of + "releases/{version}/provenance/", handle: (*server).getProvenance, status: 200, gives: map[string]any{}, summary: "Get how the image of a release was built, as in-toto"},
		{method: post, path: of + "rebase/", handle: (*server).rebase, status: 201, gives: api.RolledBack{}, also: []int{409}, summary: "Make a new release of the same slug on the stack in force"},
		{method: get, path: of + "releases/{version}/", handle: (*server).getRelease, status: 200, gives: api.Release{}, summary: "Get a release"},

		{method: get, path: pods, handle: (*server).listPods, status: 200, gives: api.Pods{}, summary: "List what runs"},
		{method: post, path: pods + "restart/", handle: (*server).restartPods, status: 200, gives: []api.Pod{}, summary: "Replace all that runs"},
		{method: get, path: pods + "{type}/", handle: (*server).listPods, status: 200, gives: api.Pods{}, summary: "List what runs of a process type"},
		{method: post, path: pods + "{type}/restart/", handle: (*server).restartPods, status: 200, gives: []api.Pod{}, summary: "Replace what runs of a process type"},
		{method: get, path: pods + "{type}/{name}/", handle: (*server).listPods, status: 200, gives: api.Pods{}, summary: "Find one by its name"},
		{method: post, path: pods + "{type}/{name}/restart/", handle: (*server).restartPods, status: 200, gives: []api.Pod{}, summary: "Replace one"},
		{method: get, path: pods + "{type}/{name}/exec", handle: (*server).exec, query: terminal, status: 101, also: []int{400, 426, 429}, summary: "Run a command inside one, attached through a WebSocket"},

		{method: get, path: of + "domains/", handle: (*server).listDomains, query: paged, status: 200, gives: api.List[api.Domain]{}, summary: "List domains"},
		{method: post, path: of + "domains/", handle: (*server).addDomain, takes: api.CreateDomain{}, status: 201, gives: api.Domain{}, also: []int{409}, summary: "Route a host name to an app"},
		{method: del, path: of + "domains/{domain}", handle: (*server).deleteDomain, status: empty, summary: "Stop routing a host name"},
		{method: get, path: of + "settings/", handle: (*server).getSettings, status: 200, gives: api.Settings{}, summary: "Get an app's settings"},
		{method: post, path: of + "settings/", handle: (*server).setSettings, takes: api.SettingsPatch{}, status: 201, gives: api.Settings{}, also: []int{409, 422}, summary: "Change an app's settings"},
		{method: get, path: of + "whitelist/", handle: (*server).getWhitelist, status: 200, gives: api.Whitelist{}, summary: "List the addresses an app is served to"},
		{method: post, path: of + "whitelist/", handle: (*server).addWhitelist, takes: api.Whitelist{}, status: 201, gives: api.Whitelist{}, also: []int{409}, summary: "Serve an app to some addresses only"},
		{method: del, path: of + "whitelist/", handle: (*server).removeWhitelist, takes: api.Whitelist{}, status: empty, also: []int{422}, summary: "Take addresses off that list"},
		{method: get, path: of + "tls/", handle: (*server).getTLS, status: 200, gives: api.TLS{}, summary: "Get how an app treats plain HTTP"},
		{method: get, path: of + "tls/certificates/", handle: (*server).listHostCertificates, status: 200, gives: api.HostCertificates{}, summary: "List what each of an app's hosts is served with, and why it has no certificate"},
		{method: post, path: of + "tls/certificates/", handle: (*server).setAutomatic, takes: api.Automatic{}, status: 200, gives: api.HostCertificates{}, summary: "Get certificates by themselves, or not; once more tries at once what failed"},
		{method: post, path: of + "tls/", handle: (*server).setTLS, takes: api.TLSPatch{}, status: 201, gives: api.TLS{}, also: []int{409}, summary: "Send plain HTTP to HTTPS, or not"},
		{method: get, path: of + "services/", handle: (*server).listServices, status: 200, gives: api.Services{}, summary: "List the paths that lead to other process types"},
		{method: post, path: of + "services/", handle: (*server).setService, takes: api.Service{}, status: 201, also: []int{204}, summary: "Lead paths to a process type"},
		{method: del, path: of + "services/", handle: (*server).removeService, takes: api.RemoveService{}, status: empty, summary: "Lead them to web again"},
		{method: get, path: of + "edge/", handle: (*server).getEdge, status: 200, gives: api.Edge{}, summary: "Get what an app's team asks of the routers"},
		{method: get, path: of + "edge/status/", handle: (*server).edgeStatus, status: 200, gives: api.EdgeStatus{}, also: []int{503}, summary: "Get what the edge does for an app at the moment, and what it turned away"},
		{method: post, path: of + "edge/", handle: (*server).patchEdge, takes: api.Edge{}, status: 200, gives: api.Edge{}, also: []int{409, 412}, summary: "Change that: the body is merged into it (RFC 7396)"},
		{method: del, path: of + "edge/", handle: (*server).resetEdge, status: empty, also: []int{409}, summary: "Take all of it away"},
		{method: get, path: of + "ports/", handle: (*server).listPorts, status: 200, gives: api.Ports{}, summary: "List the ports of the edge that lead to an app"},
		{method: post, path: of + "ports/", handle: (*server).addPort, takes: api.AddPort{}, status: 201, gives: api.Port{}, also: []int{409}, summary: "Lead a port of the edge to a process type"},
		{method: del, path: of + "ports/{listen}/", handle: (*server).removePort, status: empty, summary: "Take a port of the edge from an app"},
		{method: get, path: of + "cutover/", handle: (*server).getCutover, status: 200, gives: api.Cutover{}, summary: "Get how requests are led from one release to the next, and the cutover under way"},
		{method: post, path: of + "cutover/", handle: (*server).setCutover, takes: api.SetCutover{}, status: 201, gives: api.Cutover{}, also: []int{409}, summary: "Change that, from the next cutover on"},
		{method: post, path: of + "cutover/promote/", handle: (*server).promoteCutover, status: 200, gives: api.Cutover{}, also: []int{409}, summary: "Lead all requests to the new release"},
		{method: post, path: of + "cutover/abort/", handle: (*server).abortCutover, status: 200, gives: api.Cutover{}, also: []int{409}, summary: "Lead them back to the release before"},
		{method: get, path: of + "volumes/", handle: (*server).listVolumes, status: 200, gives: api.Volumes{}, summary: "List the volumes of an app"},
		{method: post, path: of + "volumes/", handle: (*server).setVolume, takes: api.SetVolume{}, status: 201, gives: api.Volume{}, also: []int{409, 422}, summary: "Add a volume, mount or unmount it, as a new release"},
		{method: del, path: of + "volumes/{name}/", handle: (*server).removeVolume, query: removal, status: empty, also: []int{400, 409}, summary: "Remove a volume, as a new release; with data=delete its data as well"},
		{method: get, path: crons, handle: (*server).listCrons, status: 200, gives: api.List[api.Cron]{}, summary: "List what runs by itself, and when"},
		{method: post, path: crons, handle: (*server).setCron, takes: api.SetCron{}, status: 201, gives: api.Cron{}, also: []int{409}, summary: "Run a process type by itself, or change when"},
		{method: get, path: crons + "{type}/", handle: (*server).getCron, status: 200, gives: api.Cron{}, summary: "Get when a process type runs by itself"},
		{method: del, path: crons + "{type}/", handle: (*server).removeCron, status: empty, summary: "Stop running a process type by itself"},
		{method: get, path: crons + "{type}/runs/", handle: (*server).listCronRuns, query: paged, status: 200, gives: api.List[api.CronRun]{}, summary: "List the runs of a process type by itself, newest first"},
		{method: post, path: crons + "{type}/runs/", handle: (*server).runCron, status: 201, gives: api.CronRun{}, also: []int{409}, summary: "Run it now"},
		{method: get, path: crons + "{type}/runs/{uuid}/", handle: (*server).getCronRun, status: 200, gives: api.CronRun{}, summary: "Get one run"},
		{method: get, path: of + "groups/", handle: (*server).listAppGroups, status: 200, gives: api.List[api.AppGroup]{}, summary: "List the config groups of an app, in their order"},
		{method: post, path: of + "groups/", handle: (*server).attachGroup, takes: api.AttachGroup{}, status: 201, gives: api.AppGroup{}, also: []int{409}, summary: "Attach a config group, or take over its present values, as a new release"},
		{method: del, path: of + "groups/{name}", handle: (*server).detachGroup, status: empty, also: []int{400, 409}, summary: "Detach a config group as a new release"},

		{method: get, path: "/v2/hooks/key/{fingerprint}", guard: forBuilder, handle: (*server).hookKey, status: 200, gives: api.HookKey{}, also: []int{403, 404}, summary: "Find whose SSH key this is, for the builder"},
		{method: get, path: "/v2/hooks/keys/{app}", guard: forBuilder, handle: (*server).hookKeys, status: 200, gives: map[string][]api.HookPublicKey{}, summary: "List the SSH keys of those an app is shared with, for the builder"},
		{method: get, path: "/v2/hooks/keys/{app}/{username}", guard: forBuilder, handle: (*server).hookKeysOf, status: 200, gives: map[string][]api.HookPublicKey{}, summary: "List the SSH keys of a user who may push, for the builder"},
		{method: post, path: "/v2/hooks/config/", guard: forBuilder, handle: (*server).hookConfig, takes: api.HookConfig{}, status: 200, gives: api.Config{}, also: []int{403, 404}, summary: "Get the config of a build, for the builder"},
		{method: post, path: "/v2/hooks/build/", guard: forBuilder, handle: (*server).hookBuild, takes: api.HookBuild{}, status: 200, gives: api.HookBuilt{}, also: []int{403, 404, 409}, summary: "Deploy what was built, for the builder"},
	}
	for i := range routes {
		routes[i].segments, _ = segments(routes[i].path)
	}
	return routes
}
