package api

// Pod is one running copy of a process type.
type Pod struct {
	Name    string `json:"name" doc:"<app>-<type>-<10 digits>-<5 letters or digits>"`
	State   string `json:"state"`
	Release string `json:"release" example:"v24"`
	Type    string `json:"type"`
	Started Time   `json:"started" format:"date-time"`

	// Slipway's own.
	Address   string `json:"address"`
	Restarts  int    `json:"restarts"`
	CrashLoop bool   `json:"crash_loop"`
	Message   string `json:"message" doc:"Why it is not up, in words."`
	Isolation string `json:"isolation" enum:"container,sandbox,user,none"`
}

// Pods answers the lists of pods, newest first. It is never paged.
type Pods struct {
	Results []Pod `json:"results"`
	Count   int   `json:"count"`
}
