package api

// Settings are the switches of an app that make no release.
type Settings struct {
	UUID        string         `json:"uuid"`
	App         string         `json:"app"`
	Owner       string         `json:"owner"`
	Autoscale   map[string]any `json:"autoscale" doc:"Always empty."`
	Label       map[string]any `json:"label" doc:"Always empty."`
	Created     Time           `json:"created" format:"date-time"`
	Updated     Time           `json:"updated" format:"date-time"`
	Maintenance bool           `json:"maintenance"`
	Routable    bool           `json:"routable"`
	Whitelist   []string       `json:"whitelist" doc:"Always empty."`

	// Slipway's own.
	DeployBranch string `json:"deploy_branch" doc:"The branch whose push deploys; empty: main or master."`
}

// SettingsPatch is the body of POST /v2/apps/<id>/settings/; absent fields stay.
type SettingsPatch struct {
	Maintenance  *bool   `json:"maintenance,omitempty"`
	Routable     *bool   `json:"routable,omitempty"`
	DeployBranch *string `json:"deploy_branch,omitempty"`
}
