package api

// Settings are the switches of an app that make no release.
type Settings struct {
	UUID        string               `json:"uuid"`
	App         string               `json:"app"`
	Owner       string               `json:"owner"`
	Autoscale   map[string]Autoscale `json:"autoscale"`
	Label       map[string]any       `json:"label" doc:"Any JSON values, kept as they came."`
	Created     Time                 `json:"created" format:"date-time"`
	Updated     Time                 `json:"updated" format:"date-time"`
	Maintenance bool                 `json:"maintenance"`
	Routable    bool                 `json:"routable"`
	Whitelist   []string             `json:"whitelist" doc:"Addresses and networks that are served; empty: all are."`

	// Slipway's own.
	DeployBranch string `json:"deploy_branch" doc:"The branch whose push deploys; empty: main or master."`
}

// SettingsPatch is the body of POST /v2/apps/<id>/settings/; absent fields stay.
//
// Whitelist replaces the list; in Label and Autoscale null removes a key.
type SettingsPatch struct {
	Whitelist    []string              `json:"whitelist,omitempty"`
	Label        map[string]any        `json:"label,omitempty"`
	Autoscale    map[string]*Autoscale `json:"autoscale,omitempty"`
	Maintenance  *bool                 `json:"maintenance,omitempty"`
	Routable     *bool                 `json:"routable,omitempty"`
	DeployBranch *string               `json:"deploy_branch,omitempty"`
}
