(* /etc/libvirt/virtlockd.conf and an unprivileged user's ~/.config/libvirt/virtlockd.conf.
   The grammar, and how the tree looks: Lockcfg_conf. There is no autoload, so that this
   module never competes with libvirt's own lens for the file. *)

module Lockcfg_virtlockd =

let lns = Lockcfg_conf.lns

let filter = incl "/etc/libvirt/virtlockd.conf"
           . incl "/home/*/.config/libvirt/virtlockd.conf"
           . incl "/root/.config/libvirt/virtlockd.conf"

let xfm = transform lns filter
