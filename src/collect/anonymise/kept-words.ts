/**
 * Words that stay in texts although something of the cluster may be called the same: they are those of the programs that wrote the texts, by which
 * the diagnosis recognises what they say.
 */
export const KEPT_WORDS: ReadonlySet<string> = new Set(
  `a address addresses agent all already and any are as at attach attached back backoff bin bind bridge by calico canal chain check cilium
  client cluster cni code conf config configuration connect connection connections container containerd containers context could create created
  crio cri d deadline default delegate delete denied desc destroy device dial dir directory dns docker does down echo error errno etc eth0 event exceeded
  exec exist exists exit failed file files find flannel for found free from get has host hostport http https id image images in initialized input install
  interface invalid io ip ip6tables ipam ipset iptables ipv4 ipv6 is it kernel killed kube kubelet kubernetes lib link list listen lo local localhost log
  loopback main map message missing mount msg name namespace namespaces net netfilter netns network networks new nft nftables no node nodes none not null of off
  on open operation opt or output parse path permission plugin plugins pod pods pool port portmap ports probe proc process proxy pull pulling range
  read reading readiness ready refused registry request reset response restart result root route rpc rule rules run running runtime sandbox sandboxes scheduled sctp
  send server service services set setup socket spec src start started state status stop such svc sync sys table tcp text the timed timeout to too true tun
  type udp unable unknown unreachable until up use user v1 value var version veth via was with`
    .split(/\s+/)
    .filter((word) => word !== ''),
);
