package api

// Platform answers GET /v2/platform: where things are, for any user.
type Platform struct {
	Version       string `json:"version"`
	Domain        string `json:"domain"`
	APIURL        string `json:"api_url" example:"http://slipway.localhost:8080"`
	GitSSH        string `json:"git_ssh" doc:"Append /<app>.git" example:"ssh://git@localhost:2222"`
	GitHTTP       string `json:"git_http" doc:"Append /<app>.git" example:"http://git.localhost:8080"`
	EdgeHTTPPort  int    `json:"edge_http_port"`
	EdgeHTTPSPort int    `json:"edge_https_port" doc:"0 when the edge speaks no TLS."`
	Engine        string `json:"engine" example:"local"`
	Runtime       string `json:"runtime" example:"process"`
	Isolation     string `json:"isolation" enum:"container,sandbox,user,none,"`
}
