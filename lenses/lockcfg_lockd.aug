(* /etc/libvirt/lockd.conf and an unprivileged user's ~/.config/libvirt/lockd.conf, which lockd reads
   and libvirt does not. The grammar, and how the tree looks: Lockcfg_conf. *)

module Lockcfg_lockd =

let lns = Lockcfg_conf.lns

let filter = incl "/etc/libvirt/lockd.conf"
           . incl "/home/*/.config/libvirt/lockd.conf"
           . incl "/root/.config/libvirt/lockd.conf"

let xfm = transform lns filter
