package contract_test

// rows are the endpoint tables, a line each.
var rows = []string{
	"GET /v2/",
	"GET /healthz",
	"GET /readiness",

	"POST /v2/auth/register/",
	"POST /v2/auth/login/",
	"GET /v2/auth/whoami/",
	"POST /v2/auth/passwd/",
	"POST /v2/auth/tokens/",
	"DELETE /v2/auth/cancel/",

	"GET /v2/users/",
	"GET /v2/admin/perms/",
	"POST /v2/admin/perms/",
	"DELETE /v2/admin/perms/<username>",

	"GET /v2/apps/",
	"POST /v2/apps/",
	"GET /v2/apps/<id>/",
	"POST /v2/apps/<id>/",
	"DELETE /v2/apps/<id>/",
	"PUT /v2/apps/<id>/",
	"GET /v2/apps/<id>/logs",
	"POST /v2/apps/<id>/run",
	"POST /v2/apps/<id>/scale/",

	"GET /v2/apps/<id>/builds/",
	"GET /v2/apps/<id>/builds/<uuid>/",
	"POST /v2/apps/<id>/builds/",

	"GET /v2/apps/<id>/config/",
	"POST /v2/apps/<id>/config/",

	"GET /v2/apps/<id>/releases/",
	"GET /v2/apps/<id>/releases/v<N>/",
	"POST /v2/apps/<id>/releases/rollback/",
	"POST /v2/apps/<id>/releases/",

	"GET /v2/apps/<id>/pods/",
	"GET /v2/apps/<id>/pods/<type>/",
	"GET /v2/apps/<id>/pods/<type>/<name>/",
	"POST /v2/apps/<id>/pods/restart/",
	"POST /v2/apps/<id>/pods/<type>/restart/",
	"POST /v2/apps/<id>/pods/<type>/<name>/restart/",

	"GET /v2/apps/<id>/domains/",
	"POST /v2/apps/<id>/domains/",
	"DELETE /v2/apps/<id>/domains/<domain>",

	"GET /v2/certs/",
	"POST /v2/certs/",
	"GET /v2/certs/<name>",
	"DELETE /v2/certs/<name>",
	"POST /v2/certs/<name>/domain/",
	"DELETE /v2/certs/<name>/domain/<domain>",

	"GET /v2/keys/",
	"POST /v2/keys/",
	"GET /v2/keys/<id>",
	"DELETE /v2/keys/<id>",

	"GET /v2/apps/<id>/perms/",
	"POST /v2/apps/<id>/perms/",
	"DELETE /v2/apps/<id>/perms/<username>",

	"GET /v2/apps/<id>/settings/",
	"POST /v2/apps/<id>/settings/",
	"GET /v2/apps/<id>/whitelist/",
	"POST /v2/apps/<id>/whitelist/",
	"DELETE /v2/apps/<id>/whitelist/",
	"GET /v2/apps/<id>/tls/",
	"POST /v2/apps/<id>/tls/",

	"GET /v2/apps/<id>/services/",
	"POST /v2/apps/<id>/services/",
	"DELETE /v2/apps/<id>/services/",

	"GET /v2/hooks/key/<fingerprint>",
	"GET /v2/hooks/keys/<app>",
	"GET /v2/hooks/keys/<app>/<user>",
	"POST /v2/hooks/config/",
	"POST /v2/hooks/build/",
}
